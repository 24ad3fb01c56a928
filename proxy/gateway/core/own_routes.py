"""Routes of this cluster's own exports, by each of the ways in which they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from gateway.core.claims import Claims, Match
from gateway.core.exports import Rule
from gateway.core.fields import FieldError
from gateway.core.objects import Key
from gateway.core.route import Route, normal_prefix


def published(own: Iterable[tuple[Rule, Route]]) -> dict[str, dict[Match, Route]]:
    """The rules of exports with hosts, by host."""
    found: dict[str, dict[Match, Route]] = {}
    for rule, route in own:
        for host in rule.hosts:
            where = f"{'Exact' if rule.exact else 'Prefix'} {host}{rule.path}"
            found.setdefault(host, {})[rule.match] = replace(route, where=where)
    return found


def beside_front_door(
    own: Iterable[tuple[Rule, Route]], doors: Mapping[Match, Route]
) -> tuple[list[tuple[Rule, Route]], list[tuple[Key, FieldError]]]:
    """The rules without hosts that are not in the way of other clusters' at the front door, and who lost one.

    Whose a path is there the hub has settled: an import without the path says that another has it.
    """
    claims = Claims()
    for match, route in doors.items():
        namespace, _, name = route.service.partition("/")
        claims.add(match, (namespace, name))
    kept, losers = [], []
    for rule, route in own:
        if rule.hosts or not rule.published:
            continue
        owner = claims.take(rule.match, rule.key)
        if owner is None or owner == rule.key:
            kept.append((rule, route))
            continue
        has = f"{'/'.join(owner)} has it at the front door, or one around or inside it"
        losers.append((rule.key, FieldError("PathConflict", f"path {rule.path!r}: {has}")))
    return kept, losers


def between_clusters(own: Iterable[tuple[Rule, Route]]) -> tuple[Route, ...]:
    """Routes of ports that gateways of other clusters alone are served at, each once."""
    inside = {
        (rule.key, rule.port): without_path(rule, route)
        for rule, route in reversed(list(own))
        if not (rule.published or rule.exact)
    }
    return tuple(inside[of] for of in sorted(inside))


def without_path(rule: Rule, route: Route) -> Route:
    """The route for a call by the Service's name: its target lacks the path, which only a rewrite wants."""
    name = f"Name {route.service}:{rule.port}"
    if rule.rewrite is None:
        return route if rule.published else replace(route, where=name)
    prefix = normal_prefix(rule.path)
    return replace(
        route,
        where=name,
        priorities=tuple(
            tuple(replace(local, rewritten_prefix=prefix) for local in priority)
            for priority in route.priorities
        ),
        variants=tuple(without_path(rule, variant) for variant in route.variants),
    )
