"""Whose calls a drill follows: what pods of each cluster can call, and who serves them now. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from cli.drill.wanted import Wanted
from cli.errors import UserError
from cli.observe.callers import callers_of
from cli.observe.services import local_service
from cli.observe.serving import routes
from cli.observe.view import ClusterView, Platform


@dataclass(frozen=True, kw_only=True)
class Calls:
    """Who calls what, in one cluster. `serving`: percent of the next requests by cluster and service."""

    cluster: str
    urls: Mapping[str, str]
    local: frozenset[str]
    serving: Mapping[tuple[str, str], float]


def followed_calls(platform: Platform, wanted: Wanted) -> tuple[list[Calls], list[str]]:
    """Calls by cluster, and what is left out and why. Raises UserError for a cluster that is not there."""
    for name in wanted.sources:
        if name not in {view.name for view in platform.clusters}:
            known = ", ".join(view.name for view in platform.clusters)
            raise UserError(f"--from {name}: there is no such cluster. Known: {known}.", code=2)
    _refuse_unknown_services(platform, wanted)
    found: list[Calls] = []
    left_out: list[str] = []
    for view in platform.clusters:
        if wanted.sources and view.name not in wanted.sources:
            continue
        if view.error or view.config is None:
            left_out.append(f"{view.name}: {view.error or 'no gateway there says how it routes'}")
            continue
        calls, refused = _calls(platform, view, wanted)
        left_out += [f"{view.name}: nobody serves {name}" for name in refused]
        if calls.urls:
            found.append(calls)
    return found, left_out


def _refuse_unknown_services(platform: Platform, wanted: Wanted) -> None:
    """Raises UserError for one that no gateway has a route of, when any says how it routes."""
    listed = [route for view in platform.clusters if view.config for route in routes(view.config)]
    known = {route.service for route in listed if route.door == "east-west"}
    names = known | {f"{route.service}:{route.port}" for route in listed}
    for service in wanted.services:
        if known and service not in names:
            every = ", ".join(sorted(known))
            raise UserError(f"--service {service}: no gateway has a route of it. Known: {every}.", code=2)


def _calls(platform: Platform, view: ClusterView, wanted: Wanted) -> tuple[Calls, list[str]]:
    """What pods of a cluster can call by a Service's own name; and what nobody would serve them."""
    urls: dict[str, str] = {}
    serving: dict[tuple[str, str], float] = defaultdict(float)
    local, refused = set(), []
    for route in routes(view.config):
        name = f"{route.service}:{route.port}"
        if route.door != "east-west" or not (
            {route.service, name} & set(wanted.services) or not wanted.services
        ):
            continue
        own = next(found for found in callers_of(view, route) if found.by_own_name)
        parts = [one for one in own.clusters if one.percent]
        if not parts:
            refused.append(name)
            continue
        namespace, _, service = route.service.partition("/")
        urls[name] = f"http://{service}.{namespace}:{route.port}{wanted.path}"
        if local_service(view, (namespace, service)) is not None:
            local.add(name)
        for one in parts:
            serving[platform.short(one.cluster), name] += one.percent
    return Calls(cluster=view.name, urls=urls, local=frozenset(local), serving=serving), refused
