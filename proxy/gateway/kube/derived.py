"""Derived Services (KEP-1645) and the EndpointSlices that bring callers to the gateways. Pure.

For an import `name` a cluster gets:

- `name-clusterset`, a Service without selector whose endpoints are the gateways: always by the policy.
- without a local Service: `name`, likewise. While the policy lets no request leave, nobody is its endpoint: a
  caller's connection is then refused, not left hanging.
- with a local Service: that one, as it is. Only while none of its pods is ready, and the policy lets requests
  leave, its endpoints are the gateways beside its own empty slices. A policy that is to hold for every caller
  has it taken over (`takeover`).

While no gateway is ready, local pods stand in every slice in place of the gateways. A derived Service that
somebody gave a selector, another name or endpoints is theirs from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gateway.core.derived_names import LOCAL_OF, LONGEST_NAME, cluster_set_name, local_name, slice_name
from gateway.core.every_caller import is_touched
from gateway.core.objects import (
    DERIVED,
    GATEWAY,
    MANAGED_BY,
    SLICE_MANAGED_BY,
    Key,
    Object,
    has_selector,
    is_derived_service,
    is_derived_slice,
    is_external_name,
    is_marked,
    label,
    listed,
    meta,
    number,
    spec_of,
    was_derived,
)
from gateway.kube import takeover
from gateway.kube.actions import Action, change, delete, ensure
from gateway.kube.endpoints import Pods, ServicePort, assign_ports, pods_by_service
from gateway.kube.resources import IMPORT, SERVICE, SLICE
from gateway.kube.slices import Gateways, Port, endpoint_slice, owned_by

Names = Callable[[Key], bool]


def reconcile(
    imports: Mapping[Key, Object],
    services: Mapping[Key, Object],
    slices: Mapping[Key, Object],
    gateways: Gateways,
    *,
    leaves: Names,
    takes_over: Names = lambda _: False,
) -> Iterator[Action]:
    """The writes that bring this cluster to what it should have.

    `leaves`: whether the policy of a service lets requests leave the cluster. `takes_over`: whether its local
    Service is to be taken over.
    """
    return _Round(imports, services, slices, gateways, leaves=leaves, takes_over=takes_over).actions()


class _Round:
    """What the steps of one round share."""

    def __init__(
        self,
        imports: Mapping[Key, Object],
        services: Mapping[Key, Object],
        slices: Mapping[Key, Object],
        gateways: Gateways,
        *,
        leaves: Names,
        takes_over: Names,
    ) -> None:
        self._imports, self._services, self._slices = imports, services, slices
        self._leaves, self._takes_over = leaves, takes_over
        self._pods = pods_by_service(slices)
        self._gateways = gateways.with_ports(assign_ports(self._all_ports(), slices, gateways.listening))
        self._wanted: set[tuple[str, Key]] = set()
        """Kind and key of what is derived and stays."""

    def actions(self) -> Iterator[Action]:
        for key, imported in sorted(self._imports.items()):
            if ports := _ports(imported):
                yield from self._cluster_set(key, imported, ports)
                yield from self._by_own_name(key, imported, ports)
        for key, service in sorted(self._services.items()):
            if is_touched(service) and not self._takes(key):
                yield from self._keep(takeover.give_back(key, service, self._state(key)))
        yield from self._sweep()

    def _takes(self, key: Key) -> bool:
        return key in self._imports and self._takes_over(key)

    def _cluster_set(self, key: Key, imported: Object, ports: list[Port]) -> Iterator[Action]:
        name = cluster_set_name(key[1])
        service_key = (key[0], name)
        existing = self._services.get(service_key)
        if len(name) > LONGEST_NAME or (existing is not None and not is_derived_service(existing)):
            return
        owner = owned_by(IMPORT, imported)
        yield from self._ensure_service(service_key, owner, ports, key)
        serves = self._leaves(key) or self._state(key).pods.served()
        yield from self._ensure_slice((key[0], name), key, owner, ports, serves=serves)

    def _by_own_name(self, key: Key, imported: Object, ports: list[Port]) -> Iterator[Action]:
        service, owner = self._services.get(key), owned_by(IMPORT, imported)
        if service is None or (is_derived_service(service) and not self._is_theirs(key, service)):
            leaves = self._leaves(key)
            yield from self._ensure_service(key, owner, ports, key)
            yield from self._ensure_slice((key[0], slice_name(key[1])), key, owner, ports, serves=leaves)
        elif self._takes(key) and not was_derived(service):  # else it is released first
            yield from self._keep(takeover.take(key, service, self._state(key)))
        elif not is_touched(service) and has_selector(service) and self._gateways.pods and self._leaves(key):
            shared = _shared_ports(ports, service)
            if shared and not self._state(key).pods.served():
                yield from self._ensure_slice((key[0], slice_name(key[1])), key, owner, shared, serves=True)

    def _state(self, key: Key) -> takeover.State:
        return takeover.State(
            self._pods.get(key) or Pods(),
            self._gateways,
            self._services.get((key[0], local_name(key[1]))),
            self._slices.get((key[0], slice_name(key[1]))),
        )

    def _keep(self, step: takeover.Step) -> Iterator[Action]:
        self._wanted.update(step.keeps)
        yield from step.actions

    def _ensure_service(
        self, key: Key, owner: Mapping[str, Any], ports: list[Port], of: Key
    ) -> Iterator[Action]:
        self._wanted.add((SERVICE.kind, key))
        wanted = _service(key, owner, ports)
        yield from ensure(SERVICE, key, wanted, self._services.get(key), of)

    def _ensure_slice(
        self, slice_key: Key, of: Key, owner: Mapping[str, Any], ports: list[Port], *, serves: bool
    ) -> Iterator[Action]:
        """The slice of a Service derived for the import `of`."""
        self._wanted.add((SLICE.kind, slice_key))
        service = of[1] if slice_key[1] == slice_name(of[1]) else slice_key[1]
        direct = (
            self._pods[of].direct(self._gateways.family)
            if of in self._pods and not self._gateways.pods
            else None
        )
        wanted = endpoint_slice(slice_key, service, of, owner, ports, self._gateways, direct, serves=serves)
        yield from ensure(SLICE, slice_key, wanted, self._slices.get(slice_key), of)

    def _is_theirs(self, key: Key, service: Object) -> bool:
        """Whether somebody made a derived Service his own: by a selector, another name or endpoints."""
        if has_selector(service) or is_external_name(service):
            return True
        own = self._pods[key].own.values() if key in self._pods else ()
        return any(label(one, SLICE_MANAGED_BY) not in takeover.KUBERNETES for one in own)

    def _sweep(self) -> Iterator[Action]:
        """Take back what is wanted no more."""
        for key, service in sorted(self._services.items()):
            if (SERVICE.kind, key) in self._wanted:
                continue
            if is_marked(service):
                theirs = self._is_theirs(key, service)
                yield _release(key, service) if theirs else delete(SERVICE, key, service)
            elif was_derived(service):  # it would be deleted with the import that still owns it
                yield _release(key, service)
            elif label(service, LOCAL_OF) and label(service, MANAGED_BY) == GATEWAY:
                yield delete(SERVICE, key, service)
        for key, one in sorted(self._slices.items()):
            if is_derived_slice(one) and (SLICE.kind, key) not in self._wanted:
                yield delete(SLICE, key, one)

    def _all_ports(self) -> Iterator[ServicePort]:
        for key, imported in self._imports.items():
            yield from ((key, port.number) for port in _ports(imported))
        for key, service in self._services.items():
            if is_touched(service) or self._takes(key):
                yield from ((key, port.number) for port in takeover.ports_of(service))


def _ports(imported: Object) -> list[Port]:
    """TCP ports of an import with the name each gets on the Service: several ports need one each."""
    ports = [port for port in listed(spec_of(imported), "ports") if port.get("protocol", "TCP") == "TCP"]
    several = len(ports) > 1
    return [
        Port(
            str(port.get("name") or (f"port-{port.get('port')}" if several else "")),
            number(port, "port"),
            str(port.get("appProtocol") or ""),
        )
        for port in ports
    ]


def _shared_ports(ports: list[Port], service: Object) -> list[Port]:
    """The imported ports that a local Service has too, under its own names.

    None for a headless Service: its callers dial the port of the pods, where no gateway listens.
    """
    if spec_of(service).get("clusterIP") == "None":
        return []
    own = {port.number: port for port in takeover.ports_of(service)}
    return [own[port.number] for port in ports if port.number in own]


def _service(key: Key, owner: Mapping[str, Any], ports: list[Port]) -> dict[str, Any]:
    # Null where there is none: a name that goes has to go here too, for by it endpoints are found.
    listing = [
        {
            "port": port.number,
            "protocol": "TCP",
            "name": port.name or None,
            "appProtocol": port.app_protocol or None,
        }
        for port in ports
    ]
    return {
        "apiVersion": SERVICE.api_version,
        "kind": SERVICE.kind,
        "metadata": {
            "name": key[1],
            "namespace": key[0],
            "labels": DERIVED,
            # The owner lets Kubernetes clean up when an import goes while no controller runs.
            "ownerReferences": [owner],
        },
        "spec": {"type": "ClusterIP", "ports": listing},
    }


def _release(key: Key, service: Object) -> Action:
    """Take our marks off a Service that somebody made his own."""
    owners = [owner for owner in listed(meta(service), "ownerReferences") if owner.get("kind") != IMPORT.kind]
    labels: dict[str, None] = {name: None for name, text in DERIVED.items() if label(service, name) == text}
    metadata = {"labels": labels, "ownerReferences": owners or None}
    return change(SERVICE, service, key, {"metadata": metadata})
