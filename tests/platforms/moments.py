"""Moments of the world for the live page: traffic that moves through it, and as many clusters as wanted."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from platforms.world import World, condition, key, named

from cli.dashboard.frame import Moment
from cli.dashboard.metrics import Calls, Flow
from cli.dashboard.rates import Rates
from cli.dashboard.reading import Reading, services_of
from cli.doctor.check import Check, failed
from cli.doctor.platform import platform_checks
from cli.observe.view import ClusterView, GatewayView, Platform
from stacks.config.loading import parse

BOUNDS = (0.01, 0.1, 1.0, float("inf"))
Moving = Mapping[str, Mapping[Flow, Calls]]
"""By cluster: what its gateways count per second."""


def calls(rps: float, errors: float = 0.0, seconds: float = 0.05) -> Calls:
    """Requests per second, all of which took so long."""
    return Calls(rps, errors, BOUNDS, tuple(rps if seconds <= bound else 0.0 for bound in BOUNDS))


def moment(
    world: World,
    moving: Moving | None = None,
    at: float | None = None,
    problems: Sequence[Check] | None = None,
) -> Moment:
    """The world as the collector has it when every cluster has just answered, or refused to."""
    platform = world.platform()
    seen = time.time() if at is None else at
    readings = [_reading(view, (moving or {}).get(view.name, {}), seen) for view in platform.clusters]
    found = failed(platform_checks(platform)) if problems is None else problems
    return Moment(platform=platform, readings=readings, problems=found)


def _reading(view: ClusterView, flows: Mapping[Flow, Calls], seen: float) -> Reading:
    if view.error:
        return Reading(view=view, error=view.error, seen=seen - 5)
    return Reading(view=view, seen=seen, services=services_of(view), rates=Rates(flows))


def large(clusters: int, services: int, exporters: int = 3) -> Moment:
    """Every service is exported by some clusters, and has a policy in all; a tenth of them moves."""
    names = [f"cluster-{number}" for number in range(clusters)]
    world = World()
    world.config |= {
        "clusters": [
            {
                "name": name, "role": "member" if number else "control-plane",
                "apiPort": 6444 + number, "httpPort": 8000 + number,
            }
            for number, name in enumerate(names)
        ],
        "apps": [], "exports": [], "policies": [],
    }  # fmt: skip
    settings = parse(world.config)
    listed = [(f"ns-{number % 20}/service-{number}", number) for number in range(services)]
    views = [
        _large_view(config, own, names, listed, exporters) for own, config in enumerate(settings.clusters)
    ]
    at = time.time()
    readings = []
    for own, view in enumerate(views):
        flows = {
            (name, key(names[(number + own) % exporters + number % (clusters - exporters)])): calls(1.0)
            for name, number in listed
            if number % 10 == 0
        }
        readings.append(_reading(view, flows, at))
    platform = Platform(environment="large", settings=settings, clusters=tuple(views))
    return Moment(platform=platform, readings=readings)


def _large_view(
    config: Any, own: int, names: list[str], services: list[tuple[str, int]], exporters: int
) -> ClusterView:
    exports, policies, routes = [], [], []
    for name, number in services:
        homes = [number % (len(names) - exporters) + step for step in range(exporters)]
        namespace, _, short = name.partition("/")
        if own in homes:
            exports.append(named(namespace, short, status={"conditions": [condition("Valid")]}))
        policies.append(named(namespace, short, spec={"lbType": "ActiveActive"}))
        routes.append(_raw_route(name, [names[home] for home in homes]))
    page = {"northSouth": [], "betweenClusters": [], "eastWest": routes}
    return ClusterView(
        environment="large",
        settings=config,
        version="v1.34.4",
        objects={"ServiceExport": tuple(exports), "GlobalTrafficPolicy": tuple(policies)},
        gateways=(GatewayView(pod="gateway-1", config=page),),
    )


def _raw_route(service: str, homes: list[str]) -> dict[str, Any]:
    clusters = [
        {
            "cluster": key(home), "weight": 100, "percent": round(100 / len(homes), 4), "remote": True,
            "endpoints": ["10.0.0.1:80"], "ejected": [],
        }
        for home in homes
    ]  # fmt: skip
    where = f"{service.partition('/')[2]}.{service.partition('/')[0]}:80"
    return {
        "where": where, "service": service, "port": 80, "policy": "ActiveActive", "leaves": True,
        "priorities": [clusters],
    }  # fmt: skip
