"""EndpointSlices whose endpoints are gateways, or local pods while no gateway is ready. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.core.objects import (
    DERIVED,
    GATEWAY,
    IMPORT_NAME,
    SERVICE_NAME,
    SERVICE_PORTS,
    SLICE_MANAGED_BY,
    Key,
    Object,
    key_of,
    uid_of,
)
from gateway.kube.endpoints import IPV4, ServicePort
from gateway.kube.resources import SLICE, Resource

Direct = tuple[tuple[str, ...], Sequence[Mapping[str, Any]]]
"""Local pods and the ports of their slice."""


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a Service that gateways serve."""

    name: str
    number: int
    app_protocol: str = ""


@dataclass(frozen=True, slots=True)
class Gateways:
    """Where the gateways of this cluster listen for calls to other services."""

    pods: tuple[str, ...]
    port: int
    """Routes by Host."""
    listening: range = range(0)
    """Service ports: each for one port of one Service."""
    family: str = IPV4
    """Address type of all slices of the cluster: that of one which is there cannot change."""
    assigned: Mapping[ServicePort, int] = field(default_factory=dict)

    def with_ports(self, assigned: Mapping[ServicePort, int]) -> Gateways:
        return replace(self, assigned=assigned)


def endpoint_slice(  # noqa: PLR0917  two callers, and every one is needed
    key: Key,
    service: str,
    of: Key,
    owner: Mapping[str, Any],
    ports: Sequence[Port],
    gateways: Gateways,
    direct: Direct | None,
    *,
    serves: bool = True,
) -> dict[str, Any]:
    """The slice `key` of a Service, for calls to the import `of`.

    `direct` has the local pods, which stand there while no gateway does. `serves`: whether anybody does.
    """
    pods = gateways.pods if serves else ()
    listing = [_port(port.name, gateways.assigned.get((of, port.number), gateways.port)) for port in ports]
    stands_for = {
        str(gateways.assigned[of, port.number]): port.number
        for port in ports
        if (of, port.number) in gateways.assigned
    }
    if serves and not pods and direct is not None and direct[0]:
        names = {port.name for port in ports}
        pods, stands_for = direct[0], {}
        listing = [dict(port) for port in direct[1] if str(port.get("name") or "") in names]
    ready = {"ready": True, "serving": True, "terminating": False}
    return {
        "apiVersion": SLICE.api_version,
        "kind": SLICE.kind,
        "metadata": {
            "name": key[1],
            "namespace": key[0],
            "labels": {**DERIVED, SERVICE_NAME: service, IMPORT_NAME: of[1], SLICE_MANAGED_BY: GATEWAY},
            "annotations": {SERVICE_PORTS: json.dumps(stands_for) if stands_for else None},
            "ownerReferences": [owner],
        },
        "addressType": gateways.family,
        "endpoints": [{"addresses": [address], "conditions": ready} for address in pods],
        "ports": listing,
    }


def owned_by(resource: Resource, obj: Object) -> dict[str, Any]:
    """An ownerReference: Kubernetes deletes what carries it with that object."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": key_of(obj)[1],
        "uid": uid_of(obj),
    }


def _port(name: str, number: int) -> dict[str, Any]:
    return {"name": name, "port": number, "protocol": "TCP"}
