"""`./stack status`: every cluster, what it exports, imports and decides, and who serves what now."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from airgap.report import Report, output_console
from cli import settings as settings_files
from cli import status_between
from cli.doctor.check import Check, failed
from cli.doctor.platform import dapr, dapr_version, platform_checks
from cli.observe import serving
from cli.observe.callers import Callers, callers
from cli.observe.environment import engine_of, running
from cli.observe.serving import RouteView, ServingCluster, parts_of
from cli.observe.view import (
    DEFAULT_WEIGHT,
    GATEWAY,
    SYSTEM,
    ClusterView,
    Object,
    Platform,
    key_of,
    spec,
    status,
)
from cli.paths import Paths

REFRESH_SECONDS = 2.0
SHOWN_CONDITIONS = {
    "ServiceExport": ("Valid", "Conflict", "Programmed"),
    "ServiceImport": ("Programmed", "DaprInvocable"),
    "GlobalTrafficPolicy": ("Programmed", "EveryCaller"),
}
FROM = {"north-south": "from outside", "between-clusters": "from other clusters alone"}
"""Who comes by a door that is not the callers' own gateway."""
GOOD_WHEN_FALSE = {"Conflict"}


def run(arguments: argparse.Namespace, paths: Paths, progress: Report) -> int:
    """Show it once, or until Ctrl-C. 0 when healthy, 1 when something is wrong."""
    settings_files.source_file(paths, arguments.environment)
    console = output_console()
    try:
        return asyncio.run(_show(arguments, paths, progress, console))
    except KeyboardInterrupt:
        if arguments.watch:
            return 0  # that is how watching ends
        raise


async def _show(arguments: argparse.Namespace, paths: Paths, progress: Report, console: Console) -> int:
    async with running(engine_of(paths, arguments.environment, progress)) as environment:
        platform = await environment.look()
        if arguments.watch:
            with Live(render(platform), console=console, auto_refresh=False) as live:
                while True:
                    await asyncio.sleep(REFRESH_SECONDS)
                    before, platform = platform, await environment.look()
                    live.update(render(platform, before), refresh=True)
    if arguments.json:
        print(json.dumps(as_json(platform), indent=2))
    else:
        console.print(render(platform))
    return 1 if failed(platform_checks(platform)) else 0


def as_json(platform: Platform) -> dict[str, Any]:
    """Everything for machines."""
    problems = failed(platform_checks(platform))
    return {
        "environment": platform.environment,
        "healthy": not problems,
        "problems": [check.as_json() for check in problems],
        "clusters": [_cluster_json(view) for view in platform.clusters],
        "between": status_between.as_json(platform),
    }


def _cluster_json(view: ClusterView) -> dict[str, Any]:
    found = {"name": view.name, "role": view.settings.role, "key": view.key, "reachable": not view.error}
    if view.error:
        return found | {"error": view.error}
    ready, wanted = gateway_pods(view)
    return found | {
        "kubernetes": view.version,
        "dapr": {"version": dapr_version(view), "healthy": dapr(view).result == "ok"}
        if _has_dapr(view)
        else None,
        "gateway": {"ready": ready, "wanted": wanted, "image": gateway_image(view)},
        "exports": [_object_json("ServiceExport", obj) for obj in view.all("ServiceExport")],
        "imports": [
            _object_json("ServiceImport", obj)
            | {"from": [entry["cluster"] for entry in status(obj).get("clusters") or []]}
            for obj in view.all("ServiceImport")
        ],
        "policies": [
            _object_json("GlobalTrafficPolicy", obj)
            | {"lbType": spec(obj).get("lbType"), "targets": spec(obj).get("targets") or []}
            for obj in view.all("GlobalTrafficPolicy")
        ],
        "serves": [*_front_json(view), *_callers_json(view)],
    }


def _object_json(kind: str, obj: Object) -> dict[str, Any]:
    shown = SHOWN_CONDITIONS[kind]
    conditions = [c for c in status(obj).get("conditions") or [] if c.get("type") in shown]
    return {"service": "/".join(key_of(obj)), "conditions": conditions}


def _front_json(view: ClusterView) -> Iterator[dict[str, Any]]:
    for route in serving.routes(view.config):
        if route.door in FROM:
            yield {"door": route.door, "where": route.where, **_shares_json(view, route)}


def _callers_json(view: ClusterView) -> Iterator[dict[str, Any]]:
    """`direct` says why these callers reach local pods past the gateways; empty when the policy holds."""
    for found in callers(view):
        yield {
            "door": "east-west",
            "callers": list(found.names),
            "direct": found.direct,
            **_shares_json(view, found),
        }


def _shares_json(view: ClusterView, served: RouteView | Callers) -> dict[str, Any]:
    answered = _answered(view, served)
    return {
        "service": served.service,
        "policy": served.policy,
        "shares": [
            {**_share(found), "answered": answered.get(found.cluster, 0)} for found in served.clusters
        ],
        "matches": [
            {"headers": headers, "shares": [_share(found) for found in shares]}
            for headers, shares in served.matches
        ],
    }


def _share(found: ServingCluster) -> dict[str, Any]:
    return {
        "cluster": found.cluster,
        "backend": found.backend,
        "weight": found.weight,
        "percent": found.percent,
        "ejected": found.ejected,
    }


def gateway_pods(view: ClusterView) -> tuple[int, int]:
    """Gateway pods that are ready, and that are wanted."""
    found = view.one("Deployment", SYSTEM, GATEWAY) or {}
    return int(status(found).get("readyReplicas") or 0), int(spec(found).get("replicas") or 0)


def gateway_image(view: ClusterView) -> str:
    """The image of the gateway's pods."""
    template = spec(view.one("Deployment", SYSTEM, GATEWAY) or {}).get("template") or {}
    return next((str(container["image"]) for container in spec(template).get("containers") or []), "")


def _has_dapr(view: ClusterView) -> bool:
    return view.settings.role == "member" and view.settings.dapr != "none"


def render(platform: Platform, before: Platform | None = None) -> Group:
    """The tables. With an earlier look, answers since then are shown instead of all."""
    problems = failed(platform_checks(platform))
    return Group(
        _clusters(platform),
        _objects(platform),
        _serving(platform, before),
        *status_between.render(platform, _table),
        *_problems(platform, problems),
    )


def _clusters(platform: Platform) -> Table:
    table = _table(
        f"Clusters of {platform.environment}", "", "cluster", "role", "Kubernetes", "Dapr", "gateway"
    )
    for view in platform.clusters:
        if view.error:
            table.add_row("✗", view.name, view.settings.role, escape(view.error))
            continue
        ready, wanted = gateway_pods(view)
        health = dapr(view) if _has_dapr(view) else None
        shown = dapr_version(view) + ("" if health and health.result == "ok" else " ✗") if health else "-"
        fine = (health is None or health.result == "ok") and ready >= wanted > 0
        gateway = f"{ready}/{wanted} {gateway_image(view).rpartition('/')[2]}"
        table.add_row("✔" if fine else "✗", view.name, view.settings.role, view.version, shown, gateway)
    return table


def _objects(platform: Platform) -> Table:
    table = _table("Exports, imports and policies", "", "cluster", "kind", "service", "", "conditions")
    for view in platform.clusters:
        for kind in SHOWN_CONDITIONS:
            for obj in view.all(kind):
                conditions = list(_conditions(kind, obj))
                fine = bool(conditions) and all(good for good, _ in conditions)
                words = ", ".join(text for _, text in conditions) or "not looked at yet"
                details = escape(_details(platform, kind, obj))
                service = "/".join(key_of(obj))
                table.add_row("✔" if fine else "✗", view.name, kind, service, details, escape(words))
    return table


def _conditions(kind: str, obj: Object) -> Iterator[tuple[bool, str]]:
    """Whether each condition is as it should be, and in words: the message when it is not."""
    for entry in status(obj).get("conditions") or []:
        name = entry.get("type")
        if name not in SHOWN_CONDITIONS[kind]:
            continue
        good = (entry.get("status") == "True") is (name not in GOOD_WHEN_FALSE)
        if good and name in GOOD_WHEN_FALSE:
            continue  # nobody needs to read that nothing is wrong
        yield good, str(name) if good else f"{name}: {entry.get('reason')}: {entry.get('message')}"


def _details(platform: Platform, kind: str, obj: Object) -> str:
    if kind == "ServiceExport":
        return ", ".join(
            f"{rule.get('portNumber')} at {rule.get('path')}" for rule in spec(obj).get("rules") or []
        )
    if kind == "ServiceImport":
        return "from " + ", ".join(platform.short(e["cluster"]) for e in status(obj).get("clusters") or [])
    targets = ", ".join(
        f"{platform.short(str(target.get('clusterKey')))} {target.get('weight', DEFAULT_WEIGHT)}"
        for target in spec(obj).get("targets") or []
    )
    return f"{spec(obj).get('lbType')} to {targets or 'every exporter'}"


def _serving(platform: Platform, before: Platform | None) -> Table:
    counted = "answered since" if before else "answered"
    table = _table("Who serves now", "callers", "service", "policy", "served by", counted)
    for view in platform.clusters:
        rows: list[tuple[str, RouteView | Callers]] = [
            (f"{FROM[route.door]}, {route.where.partition(' ')[2]}", route)
            for route in serving.routes(view.config)
            if route.door in FROM
        ]
        rows += [(", ".join(found.names), found) for found in callers(view)]
        for who, served in rows:
            earlier = _answered(before.cluster(view.name), served) if before else {}
            words, counts = escape(served_by(platform, served)), _answers(platform, view, served, earlier)
            table.add_row(f"{view.name}: {who}", served.service, served.policy, words, counts)
    return table


def served_by(platform: Platform, served: RouteView | Callers) -> str:
    """Who gets the next requests, in words."""
    parts = parts_of(served.clusters, platform.short)
    if isinstance(served, Callers) and served.direct:
        return f"{', '.join(parts)} (local pods directly: {served.direct})"
    ejected = [f"{platform.short(found.cluster)} is ejected" for found in served.clusters if found.ejected]
    said = [", ".join([*(parts or ["nobody: refused"]), *ejected])]
    for headers, shares in served.matches:
        said.append(f"{headers} → {', '.join(parts_of(shares, platform.short))}")
    return "; ".join(said)


def _answered(view: ClusterView, served: RouteView | Callers) -> dict[str, int]:
    """How many requests of these callers each cluster has answered, by its key."""
    if isinstance(served, Callers) and served.direct:
        return {}  # no gateway counts these
    return serving.answered(view, served.where)


def _answers(
    platform: Platform, view: ClusterView, served: RouteView | Callers, earlier: Mapping[str, int]
) -> str:
    seen = {key: count - earlier.get(key, 0) for key, count in _answered(view, served).items()}
    # A route that has changed, or a gateway that is new, counts from nothing.
    return ", ".join(f"{platform.short(key)} {number}" for key, number in seen.items() if number > 0)


def _problems(platform: Platform, problems: list[Check]) -> Iterator[str]:
    for problem in problems:
        yield f"✗ {escape(problem.name)}: {escape(problem.seen)}"
    if problems:
        yield f"./stack doctor {platform.environment} says what to do."


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
