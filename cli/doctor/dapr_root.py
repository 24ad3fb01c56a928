"""How old the root is that Dapr's sidecars of a cluster trust, and when it ends. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509

from cli.doctor import hints
from cli.doctor.check import Check
from cli.doctor.deployments import check
from cli.doctor.lifetimes import Lifetime
from cli.observe.view import DAPR_ROOTS, ClusterView, Platform

WHAT = "Dapr's root"
OURS = "Draw another one, as docs/existing-clusters.md has it: pulumi up --replace '**dapr-trust-root-seed'"
THEIRS = "Renew it before sidecars cannot talk any more: docs.dapr.io, Setup & configure mTLS certificates"


def dapr_root_checks(platform: Platform, view: ClusterView) -> Iterator[Check]:
    """A check where Dapr says which roots it trusts: of several, the one that lasts longest."""
    bundle = view.one("ConfigMap", view.dapr_namespace, DAPR_ROOTS) or {}
    pem = str((bundle.get("data") or {}).get("ca.crt") or "")
    if not pem:
        return  # older versions, and Dapr without mTLS
    look = hints.kubectl(view.settings, f"-n {view.dapr_namespace} get configmap {DAPR_ROOTS} -o yaml")
    try:
        found = x509.load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        yield check(view, WHAT, "warn", f"cannot be read: {error}", look)
        return
    lifetimes = [
        Lifetime(since=one.not_valid_before_utc.timestamp(), until=one.not_valid_after_utc.timestamp())
        for one in found
    ]
    last = max(lifetimes, key=lambda lifetime: lifetime.until)
    hint = OURS if view.settings.dapr == "install" else THEIRS
    yield check(view, WHAT, last.result(platform.at), last.seen(platform.at), hint)
