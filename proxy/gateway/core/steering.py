"""Steering: the priorities of a route for ordinary requests, and for those that match a target.

A policy divides requests between clusters, an export those of its own cluster between backends. Both may say
which requests go to one of them first: for these the route has variants, found once for each head that comes.
A service without matches has none, and nothing is looked for in its requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gateway.core.backends import Backend
from gateway.core.header_match import Match
from gateway.core.policy import Policy, make_priorities
from gateway.core.route import DEFAULT_WEIGHT, Priorities, Route, WeightedCluster


def steered(
    route: Route,
    policy: Policy,
    local: WeightedCluster,
    remotes: list[WeightedCluster],
    backends: Sequence[Backend] = (),
) -> Route:
    """`route` with the priorities that a policy gives it.

    `local` is this cluster, which may have no endpoints; `backends` share its part, if there are any.
    """
    priorities = make_priorities(policy, local, remotes)
    by_match = [
        replace(route, match=match, priorities=found)
        for match, keys in policy.matches
        if (found := _first(priorities, keys))
    ]
    return _divided(replace(route, priorities=priorities, variants=tuple(by_match)), backends)


def _first(priorities: Priorities, keys: frozenset[str]) -> Priorities:
    """These clusters before all others, which serve when they cannot; empty when none is there."""
    chosen = [cluster for priority in priorities for cluster in priority if cluster.key in keys]
    if not chosen:
        return ()
    rest = (tuple(one for one in priority if one.key not in keys) for priority in priorities)
    return (_weighted(chosen), *filter(None, rest))


def _weighted(chosen: Sequence[WeightedCluster]) -> tuple[WeightedCluster, ...]:
    """A target of weight 0 takes no part in ordinary requests; those that match it, it gets all the same."""
    if any(cluster.weight for cluster in chosen):
        return tuple(chosen)
    return tuple(replace(cluster, weight=DEFAULT_WEIGHT) for cluster in chosen)


def _divided(route: Route, backends: Sequence[Backend]) -> Route:
    """`route`, and its variants, with the backends of this cluster in its place."""
    if not backends:
        return route
    all_of_them = [backend.cluster for backend in backends]
    by_match = []
    for match in dict.fromkeys(backend.match for backend in backends):
        chosen = [one.cluster for one in backends if one.match == match and one.cluster.endpoints]
        if match is not None and chosen:
            others = [backend.cluster for backend in backends if backend.match != match]
            priorities = _replaced(route.priorities, _weighted(chosen), others)
            by_match.append(replace(route, match=match, priorities=priorities, variants=()))
    by_policy = [_divided(variant, backends) for variant in route.variants]
    priorities = _replaced(route.priorities, all_of_them, ())
    return replace(route, priorities=priorities, variants=(*by_policy, *by_match))


def _replaced(
    priorities: Priorities, parts: Sequence[WeightedCluster], otherwise: Sequence[WeightedCluster]
) -> Priorities:
    """The priorities with these parts in place of this cluster, and the others after them."""
    found: list[tuple[WeightedCluster, ...]] = []
    for priority in priorities:
        found.append(tuple(_shared(priority, parts)))
        if otherwise and any(cluster.weight and not cluster.remote for cluster in priority):
            found.append(tuple(otherwise))
    return tuple(found)


def _shared(
    priority: Sequence[WeightedCluster], parts: Sequence[WeightedCluster]
) -> Iterable[WeightedCluster]:
    """One priority with this cluster's weight divided exactly; the shares of the clusters stay."""
    alone = len(priority) == 1
    whole = sum(part.weight for part in parts if part.endpoints) or 1
    for cluster in priority:
        if cluster.remote:
            yield cluster if alone else replace(cluster, weight=cluster.weight * whole)
        else:
            times = min(cluster.weight, 1) if alone else cluster.weight
            yield from (replace(part, weight=part.weight * times) for part in parts)


def matches_of(route: Route) -> Iterable[tuple[tuple[Match, ...], Route]]:
    """Every variant with what its requests have, the one that is looked at first before the others."""
    for match, variant in ((one.match, one) for one in route.variants if one.match is not None):
        yield (match,), variant
        yield from (((match, *inner), found) for inner, found in matches_of(variant))
