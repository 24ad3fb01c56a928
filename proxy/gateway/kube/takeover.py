"""Takeover of a local Service: its own endpoints become the gateways, so that every caller meets its policy.

A Service beside it, `name-local`, selects its pods, so that Kubernetes keeps slices of them. Then the
Service's selector is kept in an annotation and taken away, and what Kubernetes wrote for it removed. Each
step waits for what the last one brought about, so that at no moment the Service is without endpoints:

    taken:       name-local and its slices -> the gateways' slice -> no selector -> Kubernetes' slices go
    given back:  selector -> Kubernetes' slices list the pods again -> the gateways' slice and name-local go

A selector that somebody puts back is followed by the same steps. Mechanics of Kubernetes that this stands on:
its controllers leave a Service without selector alone, but mirror its old Endpoints object into a slice. All
of it is pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.core.derived_names import LOCAL_OF, SELECTOR, local_name, slice_name
from gateway.core.every_caller import selector_of
from gateway.core.objects import (
    GATEWAY,
    MANAGED_BY,
    SLICE_MANAGED_BY,
    Key,
    Object,
    has_selector,
    label,
    listed,
    number,
    section,
    spec_of,
)
from gateway.kube.actions import Action, change, delete, ensure
from gateway.kube.endpoints import Pods, ready_addresses
from gateway.kube.resources import ENDPOINTS, SERVICE, SLICE
from gateway.kube.slices import Gateways, Port, endpoint_slice, owned_by

KUBERNETES = {"endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"}
"""Who writes slices of a Service's pods, and of its Endpoints object."""


@dataclass(frozen=True, slots=True)
class State:
    """What a cluster has for one local Service."""

    pods: Pods
    gateways: Gateways
    beside: Object | None
    """The Service `name-local`."""
    gateways_slice: Object | None
    """The slice that makes gateways endpoints of the Service."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to write now, and which derived objects stay."""

    actions: Sequence[Action]
    keeps: set[tuple[str, Key]] = field(default_factory=set)


def ports_of(service: Object) -> list[Port]:
    """The TCP ports of a Service."""
    return [
        Port(str(port.get("name") or ""), number(port, "port"))
        for port in listed(spec_of(service), "ports")
        if port.get("protocol", "TCP") == "TCP"
    ]


def take(key: Key, service: Object, state: State) -> Step:
    """Towards a Service that is taken over."""
    return Step(list(_take(key, service, state)), _kept(key))


def give_back(key: Key, service: Object, state: State) -> Step:
    """Towards a Service as it was before."""
    if not has_selector(service):
        body = {"spec": {"selector": dict(selector_of(service))}}
        return Step([*_beside(key, service, state), change(SERVICE, service, key, body)], _kept(key))
    if not state.pods.local_is_covered():
        return Step(list(_beside(key, service, state)), _kept(key))
    return Step([change(SERVICE, service, key, {"metadata": {"annotations": {SELECTOR: None}}})])


def _kept(key: Key) -> set[tuple[str, Key]]:
    namespace, name = key
    return {
        (SERVICE.kind, key),
        (SERVICE.kind, (namespace, local_name(name))),
        (SLICE.kind, (namespace, slice_name(name))),
    }


def _take(key: Key, service: Object, state: State) -> Iterator[Action]:
    yield from _beside(key, service, state)
    if state.gateways_slice is None or not any(True for _ in ready_addresses(state.gateways_slice)):
        return  # nobody would answer
    if has_selector(service):
        if state.beside is not None and state.pods.own_is_covered() and state.gateways.pods:
            kept = {SELECTOR: json.dumps(dict(selector_of(service)), sort_keys=True)}
            body = {"metadata": {"annotations": kept}, "spec": {"selector": None}}
            yield change(SERVICE, service, key, body, takes_over=True)
        return
    left = {one: obj for one, obj in state.pods.own.items() if label(obj, SLICE_MANAGED_BY) in KUBERNETES}
    if left:
        # First the Endpoints object: while it is there, Kubernetes mirrors it into a new slice.
        yield Action("delete", ENDPOINTS, key, service=key, settled=True)
        yield from (delete(SLICE, one, obj, settled=True) for one, obj in sorted(left.items()))


def _beside(key: Key, service: Object, state: State) -> Iterator[Action]:
    """The Service that selects the local pods, and the slice that lists the gateways."""
    namespace, name = key
    owner = owned_by(SERVICE, service)
    local_key = (namespace, local_name(name))
    local = _local_service(local_key, name, service, owner, state.beside)
    yield from ensure(SERVICE, local_key, local, state.beside, key)
    slice_key = (namespace, slice_name(name))
    direct = None if state.gateways.pods else state.pods.direct(state.gateways.family)
    wanted = endpoint_slice(slice_key, name, key, owner, ports_of(service), state.gateways, direct)
    if wanted["endpoints"] or state.gateways_slice is not None:
        yield from ensure(SLICE, slice_key, wanted, state.gateways_slice, key)


def _local_service(
    key: Key, of: str, service: Object, owner: dict[str, Any], existing: Object | None
) -> dict[str, Any]:
    """Headless: it needs no address, only the slices that Kubernetes keeps for it."""
    spec = spec_of(service)
    # A merge patch leaves a label in the selector that is not named.
    others = dict.fromkeys(section(spec_of(existing or {}), "selector"))
    names = ("name", "port", "targetPort", "protocol", "appProtocol")
    ports = [{name: port.get(name) for name in names} for port in listed(spec, "ports")]
    return {
        "apiVersion": SERVICE.api_version,
        "kind": SERVICE.kind,
        "metadata": {
            "name": key[1],
            "namespace": key[0],
            "labels": {LOCAL_OF: of, MANAGED_BY: GATEWAY},
            "ownerReferences": [owner],
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "selector": {**others, **selector_of(service)},
            "ports": ports,
            "publishNotReadyAddresses": spec.get("publishNotReadyAddresses") or None,
        },
    }
