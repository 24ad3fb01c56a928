"""Exports and Services of a member as its API server should have admitted them.

A member's API server may have been taken over, and may serve anything. What gets past here is written into
other clusters, into paths of API calls and into conditions: so it is checked as the CRDs and Kubernetes check
it (proxy/crds/serviceexports.yaml). What `exports` checks anyway is not repeated.
"""

from __future__ import annotations

import re
from typing import Any

from gateway.core.fields import FieldError, mapping, mappings, service_name
from gateway.core.objects import Key, Object, spec_of
from gateway.core.services import Service

NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
"""As Services are named (RFC 1035)."""
PORT_NAME = re.compile(r"(?!-)[-a-z0-9]{1,63}(?<!-)")
CLUSTER_KEY = re.compile(
    r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?/){3}[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?"
)
ACCOUNT = re.compile(r"\*|[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?")
APP_PROTOCOL = re.compile(r"(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")

RULES = 64
PATH_LENGTH = 1024
REWRITE_LENGTH = 1024
TARGETS = 128
CLUSTER_KEY_LENGTH = 445
ACCOUNT_LENGTH = 253
APP_PROTOCOL_LENGTH = 253


def check_key(key: Key) -> None:
    """FieldError when no API server has an export of this namespace and name."""
    service_name(key[0], "metadata.namespace")
    if NAME.fullmatch(key[1]) is None:
        raise FieldError("InvalidName", f"metadata.name is {key[1]!r}: give the name of a Service")


def check_export(raw: Object) -> None:
    """FieldError for what the CRD of exports does not admit."""
    spec = mapping(raw.get("spec"), "spec")
    rules = mappings(spec.get("rules"), "spec.rules")
    if len(rules) > RULES:
        raise FieldError("TooMany", f"spec.rules has {len(rules)} entries: at most {RULES}")
    for index, rule in enumerate(rules):
        _short(rule.get("path"), PATH_LENGTH, f"spec.rules[{index}].path")
    rewrite = mapping(spec.get("pathRewrite"), "spec.pathRewrite")
    for name in ("from", "to"):
        _short(rewrite.get(name), REWRITE_LENGTH, f"spec.pathRewrite.{name}")
    targets = spec.get("targetClusters")
    if targets is not None and not isinstance(targets, list):
        raise FieldError("Invalid", "spec.targetClusters is not a list")
    if targets and len(targets) > TARGETS:
        raise FieldError("TooMany", f"spec.targetClusters has {len(targets)} entries: at most {TARGETS}")
    for target in targets or ():
        _of(CLUSTER_KEY, target, CLUSTER_KEY_LENGTH, "spec.targetClusters")
    account = spec.get("serviceAccountName")
    if account not in (None, ""):
        _of(ACCOUNT, account, ACCOUNT_LENGTH, "spec.serviceAccountName")


def check_service(service: Service) -> None:
    """FieldError for ports as no API server stores them."""
    for number, port in service.ports.items():
        if port.name:
            _of(PORT_NAME, port.name, 63, f"the name of Service port {number}")
        if port.app_protocol:
            _of(APP_PROTOCOL, port.app_protocol, APP_PROTOCOL_LENGTH, f"appProtocol of Service port {number}")


def may_export(cluster: Object) -> frozenset[str] | None:
    """Namespaces that a cluster may export, as its Cluster object has them. None: all that others have."""
    listed = spec_of(cluster).get("mayExport")
    if listed is None:
        return None
    return (
        frozenset(one for one in listed if isinstance(one, str)) if isinstance(listed, list) else frozenset()
    )


def _short(raw: Any, most: int, where: str) -> None:
    if isinstance(raw, str) and len(raw) > most:
        raise FieldError("TooLong", f"{where} has {len(raw)} characters: at most {most}")


def _of(pattern: re.Pattern[str], raw: Any, most: int, where: str) -> None:
    if not isinstance(raw, str) or len(raw) > most or pattern.fullmatch(raw) is None:
        shown = raw[:most] if isinstance(raw, str) else raw
        raise FieldError("Invalid", f"{where} is {shown!r}, which no API server admits")
