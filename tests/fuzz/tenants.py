"""A hostile tenant: whatever stands in one namespace, the routes of another stay as they were.

The bytes are JSON: objects of the tenant's namespace, as an API server would have dated them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from gateway.core.dialling import STRICT
from gateway.core.objects import HUB, MANAGED_BY, Object, is_hub_import
from gateway.core.snapshot import Snapshot, compile_snapshot
from gateway.core.steering import matches_of

OWN, OTHER = "r/z/g/c", "r/z/g/d"
EVIL = "evil"
LISTENING = range(20000, 20256)
KINDS = {"Service", "EndpointSlice", "ServiceExport", "ServiceImport", "GlobalTrafficPolicy"}
BEFORE, AFTER = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
NAMES = (
    b"app.shop", b"app.shop:80", b"app.shop.svc", b"app.shop.svc.cluster.local:80", b"APP.SHOP.",
    b"app-clusterset.shop", b"app.shop.svc.clusterset.local", b"10.43.0.7:80",
)  # fmt: skip
PATHS = (b"/shop", b"/shop/", b"/shop/login", b"/shop/login/a?b", b"/shop/..%2f", b"/exact")


def _good() -> list[Object]:
    def made(kind: str, name: str, labels: dict[str, str] | None = None, **rest: Any) -> Object:
        metadata = {"name": name, "namespace": "shop", "creationTimestamp": BEFORE, "labels": labels or {}}
        return {"kind": kind, "metadata": metadata, **rest}

    rules = [
        {"path": "/shop", "pathType": "Prefix", "portNumber": 80},
        {"path": "/exact", "pathType": "Exact", "portNumber": 80},
    ]
    target = {"host": "h", "ip": "10.0.0.5", "port": 80, "path": "/shop"}
    imported = {"ports": [{"port": 80, "endpoints": [{"clusterKey": OTHER, "target": target}]}]}
    gateways = {
        "kubernetes.io/service-name": "app", "multicluster.flomesh.io/service": "app",
        "endpointslice.kubernetes.io/managed-by": "multicluster-gateway",
    }  # fmt: skip
    ours = made("EndpointSlice", "ours", gateways, ports=[{"port": 20017}], endpoints=[])
    ours["metadata"]["annotations"] = {"multicluster.flomesh.io/service-ports": '{"20017": 80}'}  # type: ignore[index]
    return [
        made("Service", "app", spec={"ports": [{"port": 80}], "clusterIP": "10.43.0.7"}),
        made("EndpointSlice", "pods", {"kubernetes.io/service-name": "app"}, addressType="IPv4",
             endpoints=[{"addresses": ["10.1.0.1"]}], ports=[{"port": 8080}]),
        made("ServiceExport", "app", spec={"rules": rules}),
        made("ServiceImport", "app", {MANAGED_BY: HUB}, spec=imported),
        made("GlobalTrafficPolicy", "app", spec={"lbType": "ActiveActive"}),
        ours,
    ]  # fmt: skip


def tenants(data: bytes) -> None:
    """A namespace's routes are what they are without its neighbour, by each name and under each path."""
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError):
        return
    hostile = [_placed(one) for one in raw if isinstance(one, dict)] if isinstance(raw, list) else []
    hostile = [one for one in hostile if str(one.get("kind")) in KINDS and "10.43.0.7" not in json.dumps(one)]
    hostile = [one for one in hostile if one["kind"] != "ServiceImport" or not is_hub_import(one)]
    for front_door in (False, True):
        _compare(_compiled([*hostile, *_good()], front_door), _alone(front_door))


def _placed(one: dict[str, Any]) -> dict[str, Any]:
    """Of the tenant's namespace and younger than what is there: neither is the tenant's to say."""
    metadata = one.get("metadata")
    mine = metadata if isinstance(metadata, dict) else {}
    return {**one, "metadata": {**mine, "namespace": EVIL, "creationTimestamp": AFTER}}


@cache
def _alone(front_door: bool) -> Snapshot:
    return _compiled(_good(), front_door)


def _compiled(objects: Iterable[Object], front_door: bool) -> Snapshot:
    return compile_snapshot(objects, OWN, front_door, listening=LISTENING, dialling=STRICT).snapshot


def _compare(made: Snapshot, alone: Snapshot) -> None:
    for name in NAMES:
        assert made.hosts.find(name) == alone.hosts.find(name) is not None, name
    for path in PATHS:
        assert made.paths.find(path) == alone.paths.find(path) is not None, path
    route = alone.ports[20017]
    assert made.ports.get(20017) in {route, None}, "at worst its requests are routed by Host"
    assert made.imported["shop", "app"] == alone.imported["shop", "app"]
    for port, found in made.ports.items():
        assert port in LISTENING
        assert port == 20017 or found.service.startswith(f"{EVIL}/"), f"{port} leads to {found.service}"
    for found in [*made.host_routes(), *made.path_routes()]:
        assert found.service.partition("/")[0] in {EVIL, "shop"}
        both = [found, *(variant for _, variant in matches_of(found))]
        for endpoint in (one for route in both for cluster in route.clusters for one in cluster.endpoints):
            assert not _is_forbidden(ip_address(endpoint.host)), f"{endpoint} would be dialled"


def _is_forbidden(address: IPv4Address | IPv6Address) -> bool:
    """As Python's own library sees it."""
    inner = getattr(address, "ipv4_mapped", None) or address
    return inner.is_loopback or inner.is_link_local or inner.is_unspecified or inner.is_multicast
