"""The rows of a status as tables. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from cli.doctor.check import Check
from cli.doctor.platform import dapr, dapr_version
from cli.observe.callers import Callers
from cli.observe.serving import RouteView, ServingClusters, parts_of
from cli.observe.view import DEFAULT_WEIGHT, ClusterView, Object, Platform, key_of, spec, status
from cli.status import between
from cli.status.chosen import ALL, Chosen, problems
from cli.status.rows import (
    SHOWN_CONDITIONS,
    answered,
    conditions,
    gateway_image,
    gateway_pods,
    has_dapr,
    is_fine,
    is_up,
    is_wanted,
    objects,
    strangers,
    traffic,
    unknown,
    untold,
)

NOBODY = "No service here is called so"


def render(platform: Platform, before: Platform | None = None, chosen: Chosen = ALL) -> Group:
    """The tables that have rows. With an earlier look, answers since then are shown instead of all."""
    tables = (
        _clusters(platform, chosen), _objects(platform, chosen), _serving(platform, before, chosen),
    )  # fmt: skip
    wrong = problems(platform, chosen)
    shown: list[Table | str] = [table for table in tables if table.row_count]
    shown += between.render(platform, chosen, _table)
    if not shown and not wrong:
        shown = ["All that was asked for is well." if chosen.wrong else "There is nothing of that kind here."]
    if (known := strangers(platform.clusters, chosen)) is not None:
        partly = ", ".join(view.name for view in platform.clusters if unknown(view, ALL))
        called = f"No service that was read is called so; not all of {partly} was" if partly else NOBODY
        shown += [f"{called}. Known: {', '.join(known) or 'none'}."]
    return Group(*shown, *_problems(platform, wrong))


def _clusters(platform: Platform, chosen: Chosen) -> Table:
    table = _table(
        f"Clusters of {platform.environment}", "", "cluster", "role", "Kubernetes", "Dapr", "gateway"
    )
    for view in platform.clusters:
        if not is_wanted(view, chosen):
            continue
        if view.error:
            table.add_row("✗", view.name, view.settings.role, escape(view.error))
            continue
        pods = gateway_pods(view)
        shown = _dapr(view) if has_dapr(view) else "-"
        gateway = f"{pods[0]}/{pods[1]} {gateway_image(view).rpartition('/')[2]}" if pods else "not known"
        mark = "✔" if is_up(view) else "✗"
        table.add_row(mark, view.name, view.settings.role, view.version, shown, gateway)
    return table


def _dapr(view: ClusterView) -> str:
    """The version, marked when it is not well; what was not read is neither."""
    result = dapr(view).result
    if result == "warn":
        return "not known"
    return dapr_version(view) + ("" if result == "ok" else " ✗")


def _objects(platform: Platform, chosen: Chosen) -> Table:
    table = _table("Exports, imports and policies", "", "cluster", "kind", "service", "", "conditions")
    for view in filter(lambda one: chosen.cluster(one.name), platform.clusters):
        for why, kinds in unknown(view, chosen).items():
            table.add_row("?", view.name, ", ".join(kinds), "", "", escape(why))
        for kind in SHOWN_CONDITIONS:
            for obj in objects(view, kind, chosen):
                words = ", ".join(text for _, text in conditions(kind, obj)) or "not looked at yet"
                mark = "✔" if is_fine(kind, obj) else "✗"
                details, service = escape(_details(platform, kind, obj)), "/".join(key_of(obj))
                table.add_row(mark, view.name, kind, service, details, escape(words))
    return table


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


def _serving(platform: Platform, before: Platform | None, chosen: Chosen) -> Table:
    counted = "answered since" if before else "answered"
    table = _table("Who serves now", "callers", "service", "policy", "served by", counted)
    for view in filter(lambda one: chosen.cluster(one.name), platform.clusters):
        if why := untold(view, chosen):
            table.add_row(f"{view.name}: all", "", "", escape(f"not known: {why}"), "")
            continue
        for who, served in traffic(view, chosen):
            earlier = answered(before.cluster(view.name), served) if before else {}
            words, counts = escape(served_by(platform, served)), _answers(platform, view, served, earlier)
            table.add_row(f"{view.name}: {who}", served.service, served.policy, words, counts)
    return table


def served_by(platform: Platform, served: RouteView | Callers) -> str:
    """Who gets the next requests, in words."""
    parts = parts_of(served.clusters, platform.short)
    if isinstance(served, Callers) and served.direct:
        return f"{', '.join(parts)} (local pods directly: {served.direct})"
    said = [", ".join([*(parts or ["nobody: refused"]), *_ejected(platform, served.clusters)])]
    for headers, shares in served.matches:
        said.append(f"{headers} → {', '.join(parts_of(shares, platform.short))}")
    if isinstance(served, Callers) and served.unsure:
        said.append(f"not known whether callers pass the gateway: {served.unsure}")
    return "; ".join(said)


def _ejected(platform: Platform, shares: ServingClusters) -> list[str]:
    """Who is left out. Gateways try everybody rather than nobody: a part beside it is no contradiction."""
    if any(one.percent and one.ejected for one in shares):
        return ["all are ejected, so all are tried"]
    return [f"{platform.short(one.cluster)} is ejected" for one in shares if one.ejected]


def _answers(
    platform: Platform, view: ClusterView, served: RouteView | Callers, earlier: Mapping[str, int]
) -> str:
    seen = {key: count - earlier.get(key, 0) for key, count in answered(view, served).items()}
    # A route that has changed, or a gateway that is new, counts from nothing.
    return ", ".join(f"{platform.short(key)} {number}" for key, number in seen.items() if number > 0)


def _problems(platform: Platform, wrong: list[Check]) -> Iterator[str]:
    for problem in wrong:
        yield f"✗ {escape(problem.name)}: {escape(problem.seen)}"
    if wrong:
        yield f"./stack doctor {platform.environment} says what to do."


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
