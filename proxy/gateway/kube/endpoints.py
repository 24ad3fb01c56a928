"""What the EndpointSlices of a cluster say: local pods by Service, gateways, service ports. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.core.derived_names import LOCAL_OF
from gateway.core.objects import (
    IMPORT_NAME,
    SERVICE_NAME,
    SERVICE_PORTS,
    Key,
    Object,
    annotation,
    is_derived_slice,
    label,
    listed,
    section,
    texts,
)

ServicePort = tuple[Key, int]
"""A Service and one of its ports."""

IPV4, IPV6 = "IPv4", "IPv6"
"""Address types of slices."""


def family_of(address: str) -> str:
    """The address type of a pod's first address: that of Services which do not say, as derived ones."""
    return IPV6 if ":" in address else IPV4


def ready_addresses(endpoint_slice: Object) -> Iterator[str]:
    """Addresses that may be sent requests. An absent condition means ready."""
    for endpoint in listed(endpoint_slice, "endpoints"):
        if section(endpoint, "conditions").get("ready") is not False:
            yield from texts(endpoint, "addresses")


@dataclass(slots=True)
class Pods:
    """The slices that Kubernetes keeps for the local pods of one Service."""

    own: dict[Key, Object] = field(default_factory=dict)
    """Those of the Service itself."""
    local: dict[Key, Object] = field(default_factory=dict)
    """Those of the Service that selects its pods while its own endpoints are the gateways."""

    def served(self) -> bool:
        """Whether a local pod is ready."""
        return any(True for one in (*self.own.values(), *self.local.values()) for _ in ready_addresses(one))

    def own_is_covered(self) -> bool:
        """Whether every ready pod of the Service's own slices is in the local ones too."""
        return _ready(self.own) <= _ready(self.local)

    def local_is_covered(self) -> bool:
        """Whether every ready pod of the local slices is in the Service's own ones too."""
        return _ready(self.local) <= _ready(self.own)

    def direct(self, family: str = IPV4) -> tuple[tuple[str, ...], list[Mapping[str, Any]]]:
        """Ready local pods with their ports. Ports may differ from pod to pod: those that most pods have."""
        alike: dict[str, list[Object]] = {}
        for one in (self.local or self.own).values():
            if one.get("addressType") == family:
                alike.setdefault(json.dumps(one.get("ports"), sort_keys=True), []).append(one)
        pods: list[str] = []
        ports: list[Mapping[str, Any]] = []
        for group in alike.values():
            found = sorted({address for one in group for address in ready_addresses(one)})
            if len(found) > len(pods):
                pods, ports = found, [dict(port) for port in listed(group[0], "ports")]
        return tuple(pods), ports


def pods_by_service(slices: Mapping[Key, Object]) -> dict[Key, Pods]:
    """Local pods of every Service that has some."""
    found: dict[Key, Pods] = {}
    for key, one in slices.items():
        if is_derived_slice(one):
            continue
        if taken := label(one, LOCAL_OF):
            found.setdefault((key[0], taken), Pods()).local[key] = one
        else:
            found.setdefault((key[0], label(one, SERVICE_NAME)), Pods()).own[key] = one
    return found


def _ready(slices: Mapping[Key, Object]) -> set[str]:
    return {address for one in slices.values() for address in ready_addresses(one)}


def peers(slices: Mapping[Key, Object], namespace: str, service: str, family: str = IPV4) -> tuple[str, ...]:
    """Addresses of the ready pods behind the gateway's own Service."""
    found: set[str] = set()
    for (where, _), one in slices.items():
        if where == namespace and label(one, SERVICE_NAME) == service and one.get("addressType") == family:
            found.update(ready_addresses(one))
    return tuple(sorted(found))


def assign_ports(
    wanted: Iterable[ServicePort], slices: Mapping[Key, Object], listening: range
) -> dict[ServicePort, int]:
    """A service port of the gateways for each port of a Service, as long as there are some.

    What the slices say already stays, for connections follow what was written last; a new one gets the lowest
    free port, none that a slice names. The rest share the east-west port, which routes by Host. A port that
    several claim is nobody's: who can write a slice could otherwise take the callers of another Service.
    """
    written = _written(slices, listening)
    kept: dict[ServicePort, int] = {}
    for named, claims in written.items():
        if len(claims) == 1:
            kept.setdefault(next(iter(claims)), named)
    order = sorted(set(wanted))
    assigned = {one: kept[one] for one in order if one in kept}
    free = (port for port in listening if port not in written)
    for one in order:
        if one not in assigned:
            port = next(free, None)
            if port is None:
                break
            assigned[one] = port
    return assigned


def _written(slices: Mapping[Key, Object], listening: range) -> dict[int, set[ServicePort]]:
    """By listening port, for what it stands by these slices."""
    found: dict[int, set[ServicePort]] = {}
    for (namespace, _), one in slices.items():
        if not listening or not is_derived_slice(one):
            continue
        try:
            read = json.loads(annotation(one, SERVICE_PORTS) or "{}")
            said = {int(port): int(number) for port, number in read.items()}
        except (ValueError, AttributeError, TypeError):
            continue  # somebody wrote into our slice: it is written again
        for port, number in said.items():
            if port in listening:
                found.setdefault(port, set()).add(((namespace, label(one, IMPORT_NAME)), number))
    return found
