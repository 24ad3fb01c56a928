"""Derived Services (KEP-1645): the Service and EndpointSlice objects that imports need. Pure.

A pod that calls `nodeapp.dapr-test` in a cluster without such a Service must get an address from DNS. So an
import gets a Service without selector, and an EndpointSlice that lists the ready gateway pods while the
policy lets a request leave the cluster, and nobody otherwise: the caller's connection is then refused, not
left hanging.

A local Service (with a selector) of the same name answers for itself. Only while none of its pods is ready,
and the policy lets requests leave, it gets the same EndpointSlice beside its own empty ones, so that
callers reach the other clusters. The Service object itself is never touched.

Every replica of the gateway computes the same objects. A derived Service that somebody gave a selector is
theirs from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.core.objects import (
    DERIVED,
    FLOMESH,
    GATEWAY,
    SERVICE_NAME,
    SLICE_MANAGED_BY,
    Key,
    Object,
    covers,
    has_selector,
    is_derived_service,
    is_derived_slice,
    is_marked,
    key_of,
    label,
    listed,
    meta,
    number,
    section,
    spec_of,
    texts,
    uid_of,
    version_of,
)
from gateway.kube.resources import IMPORT, SERVICE, SLICE, Resource


@dataclass(frozen=True, slots=True)
class Action:
    """One write. `merge` bodies carry the resourceVersion they are based on, deletes the uid."""

    verb: Literal["create", "merge", "delete"]
    resource: Resource
    key: Key
    body: Mapping[str, Any] = field(default_factory=dict)
    uid: str = ""
    imported: Key | None = None
    """Of an object that does not have the namespace or name of its import: that of the import."""

    @property
    def service(self) -> Key:
        """The Service that is written or whose slice is; its import has the same name."""
        return self.imported or (self.key[0], label(self.body, SERVICE_NAME) or self.key[1])


def slice_name(name: str) -> str:
    return f"{name}-imported"


def peers(slices: Mapping[Key, Object], namespace: str, service: str) -> tuple[str, ...]:
    """Addresses of the ready pods behind the gateway's own Service."""
    found: set[str] = set()
    for (where, _), endpoint_slice in slices.items():
        if where == namespace and label(endpoint_slice, SERVICE_NAME) == service:
            if endpoint_slice.get("addressType") != "IPv4":
                continue
            for endpoint in listed(endpoint_slice, "endpoints"):
                if section(endpoint, "conditions").get("ready") is not False:
                    found.update(texts(endpoint, "addresses"))
    return tuple(sorted(found))


def reconcile(
    imports: Mapping[Key, Object],
    services: Mapping[Key, Object],
    slices: Mapping[Key, Object],
    leaves: Callable[[str, str], bool],
    *,
    pods: tuple[str, ...],
    port: int,
) -> Iterator[Action]:
    """The writes that bring this cluster to what it should have.

    `leaves`: whether the policy of a service lets requests leave the cluster. `pods` are the addresses of the
    gateways, `port` their east-west port.
    """
    derived: set[Key] = set()
    sliced: set[Key] = set()
    served = _served(slices)
    for key, imported in sorted(imports.items()):
        service = services.get(key)
        if service is None or is_derived_service(service):
            if not (ports := _ports(imported)):
                continue
            derived.add(key)
            yield from _ensure(SERVICE, key, _service(imported, ports), service)
            listed_pods = pods if leaves(*key) else ()
        elif has_selector(service) and key not in served and pods and leaves(*key):
            ports, listed_pods = _shared_ports(imported, service), pods
        else:
            continue
        if ports:
            sliced.add(key)
            slice_key = (key[0], slice_name(key[1]))
            yield from _ensure(
                SLICE, slice_key, _slice(imported, ports, listed_pods, port), slices.get(slice_key)
            )
    for key, service in sorted(services.items()):
        if is_marked(service) and key not in derived:
            yield _release(key, service) if has_selector(service) else _delete(SERVICE, key, service)
    for key, endpoint_slice in sorted(slices.items()):
        if is_derived_slice(endpoint_slice) and (key[0], label(endpoint_slice, SERVICE_NAME)) not in sliced:
            yield _delete(SLICE, key, endpoint_slice)


def _served(slices: Mapping[Key, Object]) -> set[Key]:
    """Services with a ready pod of their own."""
    return {
        (namespace, label(endpoint_slice, SERVICE_NAME))
        for (namespace, _), endpoint_slice in slices.items()
        if not is_derived_slice(endpoint_slice)
        and any(
            section(endpoint, "conditions").get("ready") is not False
            for endpoint in listed(endpoint_slice, "endpoints")
        )
    }


def _shared_ports(imported: Object, service: Object) -> list[tuple[str, Object]]:
    """The imported ports that a local Service has too, under its own names.

    None for a headless Service: its callers dial the port of the pods, where no gateway listens.
    """
    if spec_of(service).get("clusterIP") == "None":
        return []
    own = {number(port, "port"): str(port.get("name") or "") for port in listed(spec_of(service), "ports")}
    return [(own[number(port, "port")], port) for _, port in _ports(imported) if number(port, "port") in own]


def _ports(imported: Object) -> list[tuple[str, Object]]:
    """TCP ports of an import with the name each gets on the Service: several ports need one each."""
    ports = [port for port in listed(spec_of(imported), "ports") if port.get("protocol", "TCP") == "TCP"]
    return [
        (str(port.get("name") or (f"port-{port.get('port')}" if len(ports) > 1 else "")), port)
        for port in ports
    ]


def _metadata(imported: Object, name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    # The owner lets Kubernetes clean up when an import goes while no gateway runs.
    owner = {
        "apiVersion": FLOMESH,
        "kind": IMPORT.kind,
        "name": key_of(imported)[1],
        "uid": meta(imported).get("uid"),
    }
    return {
        "name": name,
        "namespace": key_of(imported)[0],
        "labels": {**DERIVED, **labels},
        "ownerReferences": [owner],
    }


def _service(imported: Object, ports: list[tuple[str, Object]]) -> dict[str, Any]:
    listing = []
    for name, port in ports:
        entry: dict[str, Any] = {"port": port.get("port"), "protocol": "TCP"}
        entry |= {"name": name} if name else {}
        entry |= {"appProtocol": port["appProtocol"]} if port.get("appProtocol") else {}
        listing.append(entry)
    return {
        "apiVersion": SERVICE.api_version,
        "kind": SERVICE.kind,
        "metadata": _metadata(imported, key_of(imported)[1], {}),
        "spec": {"type": "ClusterIP", "ports": listing},
    }


def _slice(
    imported: Object, ports: list[tuple[str, Object]], pods: tuple[str, ...], port: int
) -> dict[str, Any]:
    name = key_of(imported)[1]
    labels = {SERVICE_NAME: name, SLICE_MANAGED_BY: GATEWAY}
    ready = {"ready": True, "serving": True, "terminating": False}
    return {
        "apiVersion": SLICE.api_version,
        "kind": SLICE.kind,
        "metadata": _metadata(imported, slice_name(name), labels),
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": ready} for address in pods],
        "ports": [{"name": port_name, "port": port, "protocol": "TCP"} for port_name, _ in ports],
    }


def _ensure(
    resource: Resource, key: Key, wanted: Mapping[str, Any], existing: Object | None
) -> Iterator[Action]:
    if existing is None:
        yield Action("create", resource, key, wanted)
    elif resource is SLICE and not is_derived_slice(existing):
        return  # somebody else's slice happens to have the name: leave both alone
    elif not covers(_empty_lists(existing), wanted):
        based_on = {"metadata": {**wanted["metadata"], "resourceVersion": version_of(existing)}}
        yield Action("merge", resource, key, {**wanted, **based_on})


def _empty_lists(obj: Object) -> Object:
    """An EndpointSlice without endpoints comes back with null or nothing in place of the empty list."""
    return {**obj, "endpoints": obj.get("endpoints") or []}


def _delete(resource: Resource, key: Key, obj: Object) -> Action:
    return Action("delete", resource, key, uid=uid_of(obj))


def _release(key: Key, service: Object) -> Action:
    """Take our mark off a Service that got a selector: it has become a local one."""
    owners = [owner for owner in listed(meta(service), "ownerReferences") if owner.get("kind") != IMPORT.kind]
    metadata = {
        "labels": dict.fromkeys(DERIVED),
        "ownerReferences": owners or None,
        "resourceVersion": version_of(service),
    }
    return Action("merge", SERVICE, key, {"metadata": metadata})
