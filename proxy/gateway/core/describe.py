"""What a gateway serves at one moment, described for people and commands: the page `/config`.

The percentages are those of the next requests as `balance` would choose for them: what is ejected, drained or
coming back counts as it does there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gateway.core.health import EndpointHealth
from gateway.core.route import Endpoint, Route, WeightedCluster
from gateway.core.snapshot import Snapshot
from gateway.core.steering import matches_of

HealthOf = Callable[[Route, WeightedCluster, Endpoint], EndpointHealth | None]
"""What is known of an endpoint; None when it was never used."""
AnsweredOf = Callable[[Route], Sequence[Sequence[int]]]
"""How many requests the clusters of a route have answered, in its own order; nothing when none came."""


def describe(
    snapshot: Snapshot,
    generation: int,
    health_of: HealthOf,
    now: float,
    answered_of: AnsweredOf = lambda _: (),
) -> dict[str, Any]:
    """Every route of a gateway. `generation` counts its snapshots.

    `betweenClusters` are those that are served to other clusters' gateways alone.
    `peers`: fingerprints of the peers' keys, the one that signs first. `servicePorts` of an east-west route:
    listening ports that stand for it.
    """
    north_south = [describe_route(route, health_of, now, answered_of) for route in snapshot.path_routes()]
    listening: dict[int, list[int]] = {}
    for port, route in snapshot.ports.items():
        listening.setdefault(id(route), []).append(port)
    east_west = [
        {**describe_route(route, health_of, now, answered_of), "servicePorts": listening.get(id(route), [])}
        for route in snapshot.host_routes()
    ]
    between = [describe_route(route, health_of, now) for route in snapshot.unpublished]
    return {
        "cluster": snapshot.cluster_key,
        "generation": generation,
        "peers": list(snapshot.peers),
        "northSouth": north_south,
        "betweenClusters": between,
        "eastWest": east_west,
        "ejected": sorted({
            endpoint
            for route in (*north_south, *between, *east_west)
            for shown in (route, *route["matches"])
            for priority in shown["priorities"]
            for cluster in priority
            for endpoint in cluster["ejected"]
        }),
    }  # fmt: skip


def describe_route(
    route: Route,
    health_of: HealthOf = lambda *_: None,
    now: float = 0.0,
    answered_of: AnsweredOf = lambda _: (),
) -> dict[str, Any]:
    """One route. `leaves`: its policy lets requests go to another cluster.

    `percent` of a cluster is its part of the next requests, `ejected` its endpoints that are left out,
    `backend` the Service they are of where an export lists several, `answered` how many it has answered for
    this route since it is as it is. `matches`: where requests go that have
    these headers; the first match counts.
    """
    return {
        "where": route.where,
        "service": route.service,
        "port": route.port,
        "policy": route.policy,
        "leaves": route.leaves,
        "timeouts": route.timeouts.described(),
        "priorities": _priorities(route, health_of, now, answered_of(route)),
        "matches": [
            {
                "headers": ", ".join(map(str, matches)),
                "priorities": _priorities(variant, health_of, now, answered_of(variant)),
            }
            for matches, variant in matches_of(route)
        ],
    }


def shares_of(
    route: Route, health_of: HealthOf = lambda *_: None, now: float = 0.0
) -> list[tuple[WeightedCluster, float]]:
    """The clusters of a route, each with its part of the next requests, from 0 to 1."""
    standings = _standings(route, health_of, now)
    return [(standing.cluster, standing.share) for priority in standings for standing in priority]


def _priorities(
    route: Route, health_of: HealthOf, now: float, answered: Sequence[Sequence[int]]
) -> list[list[dict[str, Any]]]:
    counts = answered or [[0] * len(priority) for priority in route.priorities]
    return [
        [standing.described(count) for standing, count in zip(priority, counted, strict=True)]
        for priority, counted in zip(_standings(route, health_of, now), counts, strict=True)
    ]


def _standings(route: Route, health_of: HealthOf, now: float) -> list[list[_Standing]]:
    priorities = [
        [_Standing(cluster, [health_of(route, cluster, each) for each in cluster.endpoints], now)
         for cluster in priority]
        for priority in route.priorities
    ]  # fmt: skip
    _divide(priorities)
    return priorities


class _Standing:
    """One cluster of a route: how its endpoints are, and its part of the next requests, from 0 to 1."""

    def __init__(
        self, cluster: WeightedCluster, healths: Sequence[EndpointHealth | None], now: float
    ) -> None:
        self.cluster = cluster
        self.ejected = [health is not None and health.ejected(now) for health in healths]
        self.weight = cluster.weight if cluster.endpoints else 0
        parts = [
            health.part(now) if health is not None else 1.0
            for health, ejected in zip(healths, self.ejected, strict=True)
            if not ejected
        ]
        self.slow_start = max(parts, default=0.0)
        self.share = 0.0

    @property
    def available(self) -> float:
        """Its weight in the choice between those that are not left out."""
        return self.weight * self.slow_start

    def described(self, answered: int) -> dict[str, Any]:
        cluster, endpoints = self.cluster, [str(endpoint) for endpoint in self.cluster.endpoints]
        return {
            "cluster": cluster.key,
            "weight": cluster.weight,
            "percent": round(100 * self.share, 4),
            "answered": answered,
            "backend": cluster.backend,
            "remote": cluster.remote,
            "endpoints": endpoints,
            "ejected": [name for name, out in zip(endpoints, self.ejected, strict=True) if out],
            "prefix": cluster.prefix.decode(),
            "rewrite": [cluster.rewrite.source, cluster.rewrite.to] if cluster.rewrite else None,
        }


def _divide(priorities: Sequence[Sequence[_Standing]]) -> None:
    """Set the shares as `RouteState.pick` hands out requests.

    The first priority that anybody can serve gets them all, but leaves some to the next while it is only just
    back. When everybody is ejected, the first priority with any endpoints is tried all the same.
    """
    left = 1.0
    for level, priority in enumerate(priorities):
        total = sum(standing.available for standing in priority)
        if not total:
            continue
        following = priorities[level + 1] if level + 1 < len(priorities) else ()
        holds_back = any(standing.available for standing in following)
        part = max(standing.slow_start for standing in priority if standing.weight) if holds_back else 1.0
        for standing in priority:
            standing.share = left * part * standing.available / total
        left -= left * part
        if not left:
            return
    # Nobody got any: whoever gets some either takes all that is left, or leaves it to somebody available.
    chosen = next((each for each in priorities if any(standing.weight for standing in each)), ())
    total = sum(standing.weight for standing in chosen)
    for standing in chosen:
        standing.share = standing.weight / total
