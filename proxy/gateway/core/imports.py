"""ServiceImports: where other clusters serve a service."""

from __future__ import annotations

from collections.abc import Callable

from gateway.core.fields import (
    FieldError,
    address,
    mapping,
    mappings,
    path_text,
    port_number,
    service_name,
    text,
)
from gateway.core.objects import Key, Object
from gateway.core.route import Endpoint, WeightedCluster, normal_prefix


def read_import(
    key: Key,
    raw: Object,
    own: str,
    report: Callable[[FieldError], None],
    check_target: Callable[[str, str], None],
) -> dict[int, list[WeightedCluster]]:
    """Other clusters by imported port. Faulty parts are reported and left out, as is the own cluster.

    `check_target` raises FieldError for an address, and where it stands, that is never dialled.
    """
    ports: dict[int, list[WeightedCluster]] = {}
    try:
        service_name(key[0], "metadata.namespace")
        service_name(key[1], "metadata.name")
        listed = mappings(mapping(raw.get("spec"), "spec").get("ports"), "spec.ports")
    except FieldError as error:
        report(error)
        return ports
    for index, item in enumerate(listed):
        where = f"spec.ports[{index}]"
        try:
            clusters = ports.setdefault(port_number(item.get("port"), f"{where}.port"), [])
            endpoints = mappings(item.get("endpoints"), f"{where}.endpoints")
        except FieldError as error:
            report(error)
            continue
        for number, endpoint in enumerate(endpoints):
            try:
                place = f"{where}.endpoints[{number}]"
                cluster = _read_cluster(endpoint, place)
                check_target(cluster.endpoints[0].host, f"{place}.target.ip")
                _add(clusters, cluster, own, place)
            except FieldError as error:
                report(error)
    return ports


def _add(clusters: list[WeightedCluster], cluster: WeightedCluster, own: str, where: str) -> None:
    if any(other.key == cluster.key for other in clusters):
        raise FieldError("DuplicateEndpoint", f"{where}: {cluster.key!r} is listed twice: the first counts")
    if cluster.key != own:
        clusters.append(cluster)


def _read_cluster(raw: Object, where: str) -> WeightedCluster:
    target = mapping(raw.get("target"), f"{where}.target")
    path = path_text(target.get("path") or "/", f"{where}.target.path")
    endpoint = Endpoint(
        address(target.get("ip"), f"{where}.target.ip"),
        port_number(target.get("port"), f"{where}.target.port"),
    )
    cluster = text(raw.get("clusterKey"), f"{where}.clusterKey")
    front_door = raw.get("frontDoor") is not False
    return WeightedCluster(
        cluster, (endpoint,), remote=True, prefix=normal_prefix(path), front_door=front_door
    )
