"""What a viewer looks into: one service, or one cluster. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypedDict

from cli.dashboard.configured import configured
from cli.dashboard.metrics import Calls, quantile
from cli.dashboard.reading import Reading
from cli.dashboard.schema import CallerFrame, MatchFrame, PartFrame
from cli.dashboard.words import Query
from cli.errors import UserError
from cli.explain.decision import explain
from cli.explain.target import Target
from cli.observe.callers import Callers, callers_of
from cli.observe.serving import DOORS, RouteView, ServingClusters, routes, untold
from cli.observe.view import DEFAULT_WEIGHT, ClusterView, Object, Platform, condition, key_of, spec, status

MOST_FLOWS = 50
"""Of a cluster, the busiest."""
GATEWAY_FACTS = {
    "gateway_client_connections": "client connections",
    "gateway_upstream_connections": "connections to endpoints",
    "gateway_upstream_queue": "requests waiting for one",
    "gateway_endpoints_ejected": "endpoints ejected",
    "gateway_memory_used_bytes": "memory used",
    "gateway_memory_budget_bytes": "memory budget",
    "gateway_config_generation": "configurations taken",
}


def detail(platform: Platform, readings: Sequence[Reading], query: Query, at: float) -> dict[str, Any] | None:
    """What is known of the service or cluster that is looked into; None when none is."""
    if query.service:
        return of_service(platform, readings, query, at)
    found = next((one for one in readings if query.cluster and one.view.name == query.cluster), None)
    return of_cluster(platform, found) if found else None


def of_service(platform: Platform, readings: Sequence[Reading], query: Query, at: float) -> dict[str, Any]:
    """`callers`: who serves those in each cluster; `why`: hop by hop, for those of one that is asked for.

    What a gateway brings to pods of its own cluster it counts together, from whomever it came: that is
    `served`. Its callers' rows tell of what it sends to others.
    """
    return {
        "service": query.service,
        "callers": [
            row
            for reading in readings
            if reading.reach(at) != "down"
            for row in _callers(platform, reading, query.service)
        ],
        "served": [
            {"cluster": reading.view.name, **_flow(calls)}
            for reading in readings
            if (calls := reading.rates.flows.get((query.service, reading.view.key)))
        ],
        **objects(readings, query.service),
        "why": why(platform, query),
    }


def objects(readings: Sequence[Reading], service: str) -> dict[str, Any]:
    """Exports, imports and policies of a service, in each cluster that has them."""
    return {
        "exports": list(_objects(readings, "ServiceExport", service)),
        "imports": list(_objects(readings, "ServiceImport", service)),
        "policies": list(_objects(readings, "GlobalTrafficPolicy", service)),
    }


def _callers(platform: Platform, reading: Reading, service: str) -> Iterator[CallerFrame]:
    view = reading.view
    for route in _routes(view, service):
        if route.door == "east-west":
            for found in callers_of(view, route):
                yield _row(platform, reading, ", ".join(found.names), found)
        elif route.door == "north-south":
            yield _row(platform, reading, f"from outside, {route.where.partition(' ')[2]}", route)


def _row(platform: Platform, reading: Reading, who: str, served: RouteView | Callers) -> CallerFrame:
    def parts(clusters: ServingClusters) -> list[PartFrame]:
        return [
            part(
                platform.short(one.cluster),
                one.backend,
                one.percent,
                ejected=one.ejected,
                calls=reading.rates.flows.get((served.service, one.cluster)) if one.remote else None,
            )
            for one in clusters
        ]

    return CallerFrame(
        cluster=reading.view.name,
        who=who,
        policy=served.policy,
        direct=served.direct if isinstance(served, Callers) else "",
        parts=parts(served.clusters),
        matches=[MatchFrame(headers=headers, parts=parts(clusters)) for headers, clusters in served.matches],
        lost=[],
    )


def part(
    cluster: str, backend: str, percent: float, *, ejected: bool = False, calls: Calls | None = None
) -> PartFrame:
    """What a cluster gets of some requests."""
    flow = _flow(calls or Calls())
    return PartFrame(cluster=cluster, backend=backend, percent=percent, ejected=ejected, **flow)


class _Flow(TypedDict):
    rps: float
    errors: float
    p95: float | None


def _flow(calls: Calls) -> _Flow:
    p95 = quantile(calls, 0.95)
    return _Flow(
        rps=round(calls.requests, 2),
        errors=round(calls.errors, 2),
        p95=None if p95 is None else round(p95 * 1000, 1),
    )


def _objects(readings: Sequence[Reading], kind: str, service: str) -> Iterator[dict[str, Any]]:
    namespace, _, name = service.partition("/")
    for reading in readings:
        obj = reading.view.one(kind, namespace, name)
        if obj is not None:
            yield {
                "cluster": reading.view.name,
                "says": _says(kind, obj),
                "conditions": [
                    {
                        part: str(entry.get(part) or "")
                        for part in ("type", "status", "reason", "message", "lastTransitionTime")
                    }
                    for entry in status(obj).get("conditions") or ()
                ],
            }


def _says(kind: str, obj: Object) -> str:
    """What an object asks for, on one line."""
    if kind == "ServiceExport":
        rules = [f"{rule.get('portNumber')} at {rule.get('path')}" for rule in spec(obj).get("rules") or ()]
        return ", ".join(rules)
    if kind == "ServiceImport":
        return "from " + ", ".join(str(one.get("cluster")) for one in status(obj).get("clusters") or ())
    targets = [
        f"{target.get('clusterKey')} {target.get('weight', DEFAULT_WEIGHT)}"
        for target in spec(obj).get("targets") or ()
    ]
    return f"{spec(obj).get('lbType')} to {', '.join(targets) or 'every exporter'}"


def why(platform: Platform, query: Query) -> list[dict[str, Any]]:
    """Each hop of calls from the cluster that is asked for, as `./stack explain` says them."""
    view = next((one for one in platform.clusters if query.source and one.name == query.source), None)
    if view is None:
        return []
    route = next((one for one in _routes(view, query.service) if one.door == "east-west"), None)
    if route is None and (unread := untold(view)):
        return [{"at": view.name, "decided": f"not known how it routes: {unread}", "why": []}]
    if route is None:
        return [{"at": view.name, "decided": "its gateway has no route for it", "why": []}]
    namespace, _, name = query.service.partition("/")
    by = callers_of(view, route)[0].names[0]
    try:
        hops = explain(platform, view, Target(service=(namespace, name), port=route.port, by=by))
    except UserError as error:
        return [{"at": view.name, "decided": str(error), "why": []}]
    return [hop.as_json() for hop in hops]


def _routes(view: ClusterView, service: str) -> list[RouteView]:
    """The routes of one service, of hundreds."""
    listed = {
        page: [raw for raw in (view.config or {}).get(page) or () if raw["service"] == service]
        for page in DOORS.values()
    }
    return routes(listed)


def of_cluster(platform: Platform, reading: Reading) -> dict[str, Any]:
    """Its settings, membership and gateways, and what moves there."""
    view = reading.view
    busiest = sorted(reading.rates.flows.items(), key=lambda flow: -flow[1].requests)[:MOST_FLOWS]
    return {
        "cluster": view.name,
        "key": view.key,
        "settings": [list(row) for row in configured(platform.settings, view.settings)],
        "gateways": [
            {
                "pod": gateway.pod,
                "error": gateway.error,
                "facts": _facts(reading, gateway.pod),
            }
            for gateway in view.gateways
        ],
        "untold": untold(view),
        "membership": _membership(platform, view),
        "flows": [
            {"service": service, "cluster": platform.short(key), **_flow(calls)}
            for (service, key), calls in busiest
        ],
    }


def _facts(reading: Reading, pod: str) -> dict[str, float]:
    track = reading.tracks.get(pod)
    totals = track.counters.totals if track else {}
    return {words: totals[name] for name, words in GATEWAY_FACTS.items() if name in totals}


def _membership(platform: Platform, view: ClusterView) -> dict[str, str]:
    """What the hub says of it on the control plane; empty for the control plane itself."""
    named = (one for one in platform.plane.all("Cluster") if key_of(one)[1] == view.name)
    managed = condition(next(named, {}), "Managed")
    return {part: str(managed[part]) for part in ("status", "reason", "message") if part in managed}
