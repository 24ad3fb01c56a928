"""Who serves what: a gateway's `/config` and `/metrics` read as routes. Pure."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from cli.observe.view import ClusterView, Key, Object

_REQUESTS = re.compile(
    r'^gateway_requests_total\{service="([^"]*)",cluster="([^"]*)",[^}]*\} (\S+)$', re.MULTILINE
)


@dataclass(frozen=True, kw_only=True)
class ServingCluster:
    """One cluster of a route. `percent` is its part of the next requests, 0 when it gets none.

    `ejected`: every endpoint of it is left out.
    """

    cluster: str
    weight: int
    percent: float
    remote: bool
    ejected: bool


@dataclass(frozen=True, kw_only=True)
class RouteView:
    """A route in force. `door` is north-south or east-west; `where` the path or name it is reached by.

    `port` is that of the Service. `leaves`: requests may go to another cluster; then an import has endpoints.
    """

    door: str
    where: str
    service: str
    port: int
    policy: str
    leaves: bool
    clusters: tuple[ServingCluster, ...]


def routes(config: Object | None) -> list[RouteView]:
    """Every route of a gateway."""
    return [
        RouteView(
            door=door,
            where=str(raw["where"]),
            service=str(raw["service"]),
            port=int(raw["port"]),
            policy=str(raw["policy"]),
            leaves=bool(raw["leaves"]),
            clusters=tuple(_cluster(found) for priority in raw["priorities"] for found in priority),
        )
        for door, listed in (("north-south", "northSouth"), ("east-west", "eastWest"))
        for raw in (config or {}).get(listed) or []
    ]


def route_to(config: Object | None, service: Key, door: str = "east-west") -> RouteView | None:
    """The route of one service."""
    name = "/".join(service)
    return next((route for route in routes(config) if route.door == door and route.service == name), None)


def _cluster(raw: Object) -> ServingCluster:
    endpoints = raw["endpoints"]
    return ServingCluster(
        cluster=str(raw["cluster"]),
        weight=int(raw["weight"]),
        percent=float(raw["percent"]),
        remote=bool(raw["remote"]),
        ejected=bool(endpoints) and len(raw["ejected"]) == len(endpoints),
    )


def requests(metrics: str) -> dict[Key, int]:
    """Answered requests by service and cluster key, from the Prometheus text."""
    counted: Counter[Key] = Counter()
    for service, cluster, number in _REQUESTS.findall(metrics):
        counted[service, cluster] += int(float(number))
    return dict(counted)


def answered(view: ClusterView) -> dict[Key, int]:
    """The sum over a cluster's gateway pods, since each of them began."""
    counted: Counter[Key] = Counter()
    for gateway in view.gateways:
        counted.update(gateway.requests)
    return dict(counted)
