"""Who serves what: a gateway's `/config` and `/metrics` read as routes with the shares in force. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from cli.observe.view import ClusterView, Key, Object

_REQUESTS = re.compile(
    r'^gateway_requests_total\{service="([^"]*)",cluster="([^"]*)",[^}]*\} (\S+)$', re.MULTILINE
)


@dataclass(frozen=True, kw_only=True)
class Serving:
    """One cluster's part in a route. `percent` is its share of the next requests, 0 when it gets none."""

    cluster: str
    weight: int
    percent: float
    remote: bool
    endpoints: tuple[str, ...]
    ejected: bool


@dataclass(frozen=True, kw_only=True)
class RouteView:
    """A route in force. `door` is north-south or east-west; `where` the path or name it is reached by."""

    door: str
    where: str
    service: str
    port: int
    policy: str
    shares: tuple[Serving, ...]

    @property
    def leaves(self) -> bool:
        """Whether requests may go to another cluster: then an import has endpoints."""
        return any(share.remote and share.weight for share in self.shares)

    def share(self, cluster: str) -> Serving | None:
        """The share of a cluster key."""
        return next((share for share in self.shares if share.cluster == cluster), None)


def routes(config: Object | None) -> list[RouteView]:
    """Every route of a gateway."""
    ejected = set((config or {}).get("ejected") or [])
    return [
        RouteView(
            door=door,
            where=str(raw["where"]),
            service=str(raw["service"]),
            port=int(raw["port"]),
            policy=str(raw["policy"]),
            shares=tuple(_shares(raw.get("priorities") or [], ejected)),
        )
        for door, listed in (("north-south", "northSouth"), ("east-west", "eastWest"))
        for raw in (config or {}).get(listed) or []
    ]


def route_to(config: Object | None, service: Key, door: str = "east-west") -> RouteView | None:
    """The route of one service."""
    name = "/".join(service)
    return next((route for route in routes(config) if route.door == door and route.service == name), None)


def _shares(priorities: list[list[Object]], ejected: set[str]) -> Iterator[Serving]:
    """The first priority in which anybody can answer gets everything, ejected endpoints nothing.

    When every endpoint of a priority is ejected and no other priority is left, the gateway tries them
    all the same.
    """
    usable = [[_live(share, ejected) for share in priority] for priority in priorities]
    chosen = next((number for number, priority in enumerate(usable) if any(priority)), None)
    if chosen is None:
        usable = [[_live(share, set()) for share in priority] for priority in priorities]
        chosen = next((number for number, priority in enumerate(usable) if any(priority)), None)
    for number, priority in enumerate(priorities):
        total = sum(usable[number]) if number == chosen else 0
        for share, weight in zip(priority, usable[number], strict=True):
            endpoints = tuple(str(endpoint) for endpoint in share.get("endpoints") or [])
            yield Serving(
                cluster=str(share["cluster"]),
                weight=int(share["weight"]),
                percent=100 * weight / total if total else 0.0,
                remote=bool(share["remote"]),
                endpoints=endpoints,
                ejected=bool(endpoints) and ejected.issuperset(endpoints),
            )


def _live(share: Object, ejected: set[str]) -> int:
    """The weight a share has in the choice of the next request."""
    return int(share["weight"]) if set(share.get("endpoints") or []) - ejected else 0


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
