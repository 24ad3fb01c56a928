"""Kubernetes objects as the gateway reads them: the few fields it needs, checked, everything else ignored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from gateway.core.problem import Problem
from gateway.core.route import Endpoint

IMPORTED_LABEL = "multicluster.flomesh.io/imported"
SERVICE_LABEL = "kubernetes.io/service-name"
MANAGED_LABEL = "endpointslice.kubernetes.io/managed-by"
CONTROLLER = "endpointslice-controller.k8s.io"
"""Who makes the slices of Services with a selector, in Kubernetes itself."""

Raw = Mapping[str, Any]
Key = tuple[str, str]
"""(namespace, name)."""


class FieldError(ValueError):
    """A field that cannot be used. `reason` is a CamelCase word for a condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def section(raw: Any, where: str) -> Raw:
    """`raw` as a mapping; empty when absent."""
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        raise FieldError("Invalid", f"{where} is not a mapping")
    return raw


def items(raw: Any, where: str) -> list[Raw]:
    """`raw` as a list of mappings; empty when absent."""
    if raw is None:
        return []
    if not isinstance(raw, list) or not all(isinstance(item, Mapping) for item in raw):
        raise FieldError("Invalid", f"{where} is not a list of mappings")
    return raw


def port_number(raw: Any, where: str) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool) or not 1 <= raw <= 65535:
        raise FieldError("InvalidPort", f"{where} is {raw!r}: give a port from 1 to 65535")
    return raw


def text(raw: Any, where: str) -> str:
    if not isinstance(raw, str) or not raw:
        raise FieldError("Invalid", f"{where} is {raw!r}: give a string")
    return raw


def path_text(raw: Any, where: str) -> str:
    if not isinstance(raw, str) or not raw.startswith("/") or not raw.isascii() or not raw.isprintable():
        raise FieldError(
            "InvalidPath", f"{where} is {raw!r}: give a path that begins with / in printable ASCII"
        )
    if "?" in raw or "#" in raw or " " in raw:
        raise FieldError("InvalidPath", f"{where} is {raw!r}: a path has no query, fragment or space")
    return raw


@dataclass(slots=True)
class ServicePort:
    port: int
    name: str


@dataclass(slots=True)
class Service:
    """A Service of this cluster with its ready endpoints by port name."""

    ports: dict[int, ServicePort]
    external_name: bool = False
    ready: dict[str, list[Endpoint]] = field(default_factory=dict)

    def endpoints(self, port: int) -> tuple[Endpoint, ...]:
        """Ready endpoints of a Service port, in a fixed order."""
        known = self.ports.get(port)
        if known is None:
            return ()
        return tuple(
            sorted(set(self.ready.get(known.name, ())), key=lambda endpoint: (endpoint.host, endpoint.port))
        )


def read_service(raw: Raw) -> Service:
    spec = section(raw.get("spec"), "spec")
    ports = {}
    for index, item in enumerate(items(spec.get("ports"), "spec.ports")):
        number = port_number(item.get("port"), f"spec.ports[{index}].port")
        if item.get("protocol", "TCP") == "TCP":
            ports[number] = ServicePort(number, item.get("name") or "")
    return Service(ports, spec.get("type") == "ExternalName")


def read_slice(raw: Raw) -> dict[str, list[Endpoint]]:
    """Ready TCP endpoints of one EndpointSlice by port name."""
    found: dict[str, list[Endpoint]] = {}
    if raw.get("addressType") not in {None, "IPv4", "IPv6"}:
        return found
    ready: list[str] = []
    for index, item in enumerate(items(raw.get("endpoints"), "endpoints")):
        conditions = section(item.get("conditions"), f"endpoints[{index}].conditions")
        # An absent condition means ready: the API says so.
        if conditions.get("ready", True) is not False and not conditions.get("terminating"):
            ready.extend(address(one, f"endpoints[{index}].addresses") for one in item.get("addresses") or [])
    for index, item in enumerate(items(raw.get("ports"), "ports")):
        if item.get("protocol") in {None, "TCP"} and item.get("port") is not None:
            number = port_number(item["port"], f"ports[{index}].port")
            found.setdefault(item.get("name") or "", []).extend(Endpoint(one, number) for one in ready)
    return found


@lru_cache(maxsize=65536)
def _canonical(text: str) -> str:
    return str(ip_address(text))


def address(raw: Any, where: str) -> str:
    try:
        return _canonical(text(raw, where))
    except FieldError:
        raise
    except ValueError as error:
        raise FieldError("InvalidAddress", f"{where} is {raw!r}: give an IP address") from error


@dataclass(slots=True)
class Objects:
    """Objects by kind and key. Of two with one key the last counts, as in a file read from the top."""

    exports: dict[Key, Raw] = field(default_factory=dict)
    imports: dict[Key, Raw] = field(default_factory=dict)
    policies: dict[Key, Raw] = field(default_factory=dict)
    services: dict[Key, Service] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def sort_objects(raw_objects: Iterable[Raw]) -> Objects:
    """Sort raw objects by kind, with endpoints joined to their Services. Own stand-ins are left out."""
    objects = Objects()
    slices: list[tuple[Key, str, Raw]] = []
    for raw in raw_objects:
        kind = str(raw.get("kind"))
        try:
            metadata = section(raw.get("metadata"), "metadata")
            labels = section(metadata.get("labels"), "metadata.labels")
            name = text(metadata.get("name"), "metadata.name")
            key = (str(metadata.get("namespace") or "default"), name)
            if labels.get(IMPORTED_LABEL) == "true" and _stands_in(kind, raw, labels):
                continue
            if kind == "Service":
                objects.services[key] = read_service(raw)
            elif kind == "EndpointSlice":
                slices.append(((key[0], str(labels.get(SERVICE_LABEL) or "")), name, raw))
            elif kind == "ServiceExport":
                objects.exports[key] = raw
            elif kind == "ServiceImport":
                objects.imports[key] = raw
            elif kind == "GlobalTrafficPolicy":
                objects.policies[key] = raw
        except FieldError as error:
            objects.problems.append(_problem(kind, raw, error))
    for key, _, raw in slices:
        service = objects.services.get(key)
        if service is None:
            continue
        try:
            for port_name, endpoints in read_slice(raw).items():
                service.ready.setdefault(port_name, []).extend(endpoints)
        except FieldError as error:
            objects.problems.append(_problem("EndpointSlice", raw, error))
    return objects


def _stands_in(kind: str, raw: Raw, labels: Raw) -> bool:
    """Whether what is labelled so is a stand-in still.

    A Service that somebody gave a selector is a local one, before the gateway has taken its label off; and
    Kubernetes copies a Service's labels to the slices it makes for it.
    """
    if kind == "Service":
        return not section(raw.get("spec"), "spec").get("selector")
    return kind == "EndpointSlice" and labels.get(MANAGED_LABEL) != CONTROLLER


def _problem(kind: str, raw: Raw, error: FieldError) -> Problem:
    metadata = raw.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    return Problem(
        kind, str(metadata.get("namespace") or ""), str(metadata.get("name") or ""), error.reason, str(error)
    )
