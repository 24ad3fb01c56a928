"""Services of this cluster with their ready endpoints, and all other objects a snapshot is made from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gateway.core.derived_names import LOCAL_OF
from gateway.core.fields import FieldError, addresses, mapping, mappings, port_number, text
from gateway.core.objects import (
    SERVICE_NAME,
    SYSTEM_NAMESPACE,
    Key,
    Object,
    is_deleted,
    is_derived_service,
    is_derived_slice,
    key_of,
    label,
    listed,
    spec_of,
    texts,
)
from gateway.core.problem import Problem
from gateway.core.route import Endpoint

NO_ADDRESS = (None, "", "None")
"""What stands in place of a cluster IP where a Service has none."""


@dataclass(slots=True)
class ServicePort:
    name: str
    app_protocol: str


@dataclass(slots=True)
class Service:
    """A Service of this cluster: TCP ports by number, endpoints by port name."""

    ports: dict[int, ServicePort]
    external_name: bool = False
    deleted: bool = False
    """It is being deleted."""
    ready: dict[str, list[Endpoint]] = field(default_factory=dict)
    terminating: dict[str, list[Endpoint]] = field(default_factory=dict)
    """Terminating pods that still serve."""

    def endpoints(self, number: int) -> tuple[Endpoint, ...]:
        """Endpoints of a Service port that may be sent requests, in a fixed order.

        The ready ones; while there is none, those that terminate and still serve, as kube-proxy has it
        (KEP-1669): a rollout of one replica loses no request.
        """
        port = self.ports.get(number)
        if port is None:
            return ()
        found = self.ready.get(port.name) or self.terminating.get(port.name) or ()
        return tuple(sorted(set(found), key=lambda endpoint: (endpoint.host, endpoint.port)))


def read_service(raw: Object) -> Service:
    spec = mapping(raw.get("spec"), "spec")
    ports = {}
    for index, item in enumerate(mappings(spec.get("ports"), "spec.ports")):
        number = port_number(item.get("port"), f"spec.ports[{index}].port")
        if item.get("protocol", "TCP") == "TCP":
            ports[number] = ServicePort(str(item.get("name") or ""), str(item.get("appProtocol") or ""))
    return Service(ports, spec.get("type") == "ExternalName", is_deleted(raw))


def cluster_ips(raw: Object) -> list[str]:
    """The addresses of a Service, for IPv4 and IPv6; none of a headless one."""
    spec = mapping(raw.get("spec"), "spec")
    listed = spec.get("clusterIPs") or [spec.get("clusterIP")]
    if isinstance(listed, list):
        listed = [one for one in listed if one not in NO_ADDRESS]
    return addresses(listed, "spec.clusterIPs")


def add_slice(service: Service, raw: Object) -> None:
    """Add the TCP endpoints of one EndpointSlice to its Service. FieldError, and none, when it is faulty."""
    if raw.get("addressType") not in (None, "IPv4", "IPv6"):  # not a set: any JSON value may stand there
        return
    ready: list[str] = []
    terminating: list[str] = []
    ports: list[tuple[str, int]] = []
    for index, item in enumerate(mappings(raw.get("endpoints"), "endpoints")):
        conditions = mapping(item.get("conditions"), f"endpoints[{index}].conditions")
        # An absent condition means ready; serving, when absent, says what ready says.
        is_ready = conditions.get("ready", True) is not False
        where = f"endpoints[{index}].addresses"
        if conditions.get("terminating"):
            if conditions.get("serving", is_ready):
                terminating.extend(addresses(item.get("addresses"), where))
        elif is_ready:
            ready.extend(addresses(item.get("addresses"), where))
    for index, item in enumerate(mappings(raw.get("ports"), "ports")):
        if item.get("protocol") in (None, "TCP") and item.get("port") is not None:
            number = port_number(item["port"], f"ports[{index}].port")
            ports.append((str(item.get("name") or ""), number))
    for by_name, found in ((service.ready, ready), (service.terminating, terminating)):
        for name, number in ports if found else ():
            by_name.setdefault(name, []).extend(Endpoint(one, number) for one in found)


@dataclass(slots=True)
class Objects:
    """Objects by kind and key. Of two with one key the last counts, as in a file read from the top."""

    exports: dict[Key, Object] = field(default_factory=dict)
    imports: dict[Key, Object] = field(default_factory=dict)
    policies: dict[Key, Object] = field(default_factory=dict)
    peers: dict[Key, Object] = field(default_factory=dict)
    services: dict[Key, Service] = field(default_factory=dict)
    addresses: dict[str, Key] = field(default_factory=dict)
    """Services by cluster IP, the derived ones as well."""
    gateway_slices: list[Object] = field(default_factory=list)
    """Those that list gateways."""
    system: set[str] = field(default_factory=set)
    """Addresses of the system namespace's pods, ready or not, and of its Services."""
    problems: list[Problem] = field(default_factory=list)


def sort_objects(raw_objects: Iterable[Object]) -> Objects:
    """Sort raw objects by kind, with endpoints joined to their Services.

    Of derived Services only the cluster IPs are taken, of the slices that list gateways no endpoint.
    """
    objects = Objects()
    by_kind = {
        "ServiceExport": objects.exports,
        "ServiceImport": objects.imports,
        "GlobalTrafficPolicy": objects.policies,
        "Peer": objects.peers,
    }
    slices: list[tuple[Key, Object]] = []
    for raw in raw_objects:
        kind = str(raw.get("kind"))
        try:
            metadata = mapping(raw.get("metadata"), "metadata")
            mapping(metadata.get("labels"), "metadata.labels")
            key = (str(metadata.get("namespace") or "default"), text(metadata.get("name"), "metadata.name"))
            if not "".join(key).isascii():
                message = f"{'/'.join(key)!r} is not ASCII, as names of objects are"
                raise FieldError("InvalidName", message)  # noqa: TRY301  one fault among those collected
            objects.system.update(_addresses(raw) if key[0] == SYSTEM_NAMESPACE else ())
            if kind == "Service":
                if not is_derived_service(raw):
                    objects.services[key] = read_service(raw)
                objects.addresses.update(dict.fromkeys(cluster_ips(raw), key))
            elif kind == "EndpointSlice":
                if is_derived_slice(raw):
                    objects.gateway_slices.append(raw)
                else:
                    # Of a Service that was taken over, the slices of its pods belong to the one beside it.
                    slices.append(((key[0], label(raw, LOCAL_OF) or label(raw, SERVICE_NAME)), raw))
            elif kind in by_kind:
                by_kind[kind][key] = raw
        except FieldError as error:
            objects.problems.append(_problem(kind, raw, error))
    for key, raw in slices:
        service = objects.services.get(key)
        if service is None:
            continue
        try:
            add_slice(service, raw)
        except FieldError as error:
            objects.problems.append(_problem("EndpointSlice", raw, error))
    return objects


def _addresses(raw: Object) -> Iterator[str]:
    """Every address that a Service or a slice names, whatever state its pods are in."""
    yield from texts(spec_of(raw), "clusterIPs")
    yield str(spec_of(raw).get("clusterIP"))
    for endpoint in listed(raw, "endpoints"):
        yield from texts(endpoint, "addresses")


def _problem(kind: str, raw: Object, error: FieldError) -> Problem:
    return Problem(kind, *key_of(raw), error.reason, str(error))
