"""Routes of this cluster's own exports, by each of the ways in which they are asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gateway.core.claims import Match
from gateway.core.exports import Rule
from gateway.core.route import Route, normal_prefix


def published(own: Iterable[tuple[Rule, Route]]) -> dict[str, dict[Match, Route]]:
    """The rules of exports with hosts, by host."""
    found: dict[str, dict[Match, Route]] = {}
    for rule, route in own:
        for host in rule.hosts:
            where = f"{'Exact' if rule.exact else 'Prefix'} {host}{rule.path}"
            found.setdefault(host, {})[rule.match] = replace(route, where=where)
    return found


def without_path(rule: Rule, route: Route) -> Route:
    """The route for a call by the Service's name: its target lacks the path, which only a rewrite wants."""
    if rule.rewrite is None:
        return route
    prefix = normal_prefix(rule.path)
    return replace(
        route,
        where=f"Name {route.service}:{rule.port}",
        priorities=tuple(
            tuple(replace(local, rewritten_prefix=prefix) for local in priority)
            for priority in route.priorities
        ),
        variants=tuple(without_path(rule, variant) for variant in route.variants),
    )
