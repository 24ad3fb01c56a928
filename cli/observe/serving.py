"""Who serves what: a gateway's `/config` read as routes. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cli.observe.view import SYSTEM, ClusterView, Key, Object
from stacks.outlook import words

DOORS = {"north-south": "northSouth", "between-clusters": "betweenClusters", "east-west": "eastWest"}
"""From where requests come, and what a gateway's page calls the routes for them."""


@dataclass(frozen=True, kw_only=True)
class ServingCluster:
    """One cluster of a route. `percent` is its part of the next requests, 0 when it gets none.

    `ejected`: every endpoint of it is left out. `backend`: the Service its endpoints are of, where an export
    lists several.
    """

    cluster: str
    weight: int
    percent: float
    remote: bool
    ejected: bool
    backend: str = ""

    @property
    def part(self) -> str:
        """Its part of the requests as people read it: in whole percent, unless that would hide some."""
        return words.part(self.percent)


ServingClusters = tuple[ServingCluster, ...]


@dataclass(frozen=True, kw_only=True)
class RouteView:
    """A route in force. `door` is one of `DOORS`; `where` the path or name it is reached by.

    `port` is that of the Service. `leaves`: requests may go to another cluster; then an import has endpoints.
    """

    door: str
    where: str
    service: str
    port: int
    policy: str
    leaves: bool
    clusters: ServingClusters
    matches: tuple[tuple[str, ServingClusters], ...] = ()
    """Who serves requests that have these headers; the first match counts."""

    @property
    def passes_gateways(self) -> bool:
        """Whether a caller must come by a gateway for its policy, and the backends of its export, to hold."""
        return self.leaves or any(cluster.backend for cluster in self.clusters)


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
            clusters=_shares(raw),
            matches=tuple((str(found["headers"]), _shares(found)) for found in raw.get("matches") or ()),
        )
        for door, listed in DOORS.items()
        for raw in (config or {}).get(listed) or []
    ]


def untold(view: ClusterView) -> str:
    """Why it is not known how a cluster routes; empty when a gateway tells, or none is ready to."""
    if view.config is not None:
        return ""
    if pods := view.unseen("Pod", SYSTEM):
        return f"its pods {pods}"
    return ", ".join(f"{gateway.pod}: {gateway.error}" for gateway in view.gateways if gateway.error)


def route_to(config: Object | None, service: Key, door: str = "east-west") -> RouteView | None:
    """The route of one service."""
    name = "/".join(service)
    return next((route for route in routes(config) if route.door == door and route.service == name), None)


def _shares(raw: Object) -> ServingClusters:
    return tuple(_cluster(found) for priority in raw["priorities"] for found in priority)


def _cluster(raw: Object) -> ServingCluster:
    endpoints = raw["endpoints"]
    return ServingCluster(
        cluster=str(raw["cluster"]),
        weight=int(raw["weight"]),
        percent=float(raw["percent"]),
        remote=bool(raw["remote"]),
        ejected=bool(endpoints) and len(raw["ejected"]) == len(endpoints),
        backend=str(raw.get("backend") or ""),
    )


def parts_of(shares: ServingClusters, short: Callable[[str], str]) -> list[str]:
    """Who gets how much, in words; a cluster with several backends once for each. `short` names a cluster."""
    served = (one for one in shares if one.percent)
    return [" ".join(filter(None, (short(one.cluster), one.backend, one.part))) for one in served]


def answered(view: ClusterView, where: str) -> dict[str, int]:
    """How many requests each cluster, by its key, has answered for one route, at all gateway pods together.

    It is counted since the route is as it is, or since the pod began.
    """
    counted: Counter[str] = Counter()
    for gateway in view.gateways:
        for raw in _raw(gateway.config, where):
            for shown in (raw, *(raw.get("matches") or ())):
                for one in (one for priority in shown["priorities"] for one in priority):
                    counted[str(one["cluster"])] += int(one.get("answered") or 0)
    return dict(counted)


def _raw(config: Object | None, where: str) -> Iterator[Object]:
    for listed in ("northSouth", "eastWest"):
        yield from (raw for raw in (config or {}).get(listed) or () if raw["where"] == where)
