"""Dashboards, alert rules and documents say what gateways and the hub really show."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import promql_parser
import pytest
import yaml
from harness.prometheus import prometheus
from prometheus_client.parser import text_string_to_metric_families
from proxy.conftest import PATIENCE
from proxy.otlp import Receiver
from proxy.test_mutual_tls import World

from gateway.core.peers import MutualTls
from gateway.edge.tracer import Tracer, parse_receiver
from gateway.kube.admin import AdminServer
from gateway.kube.cache import ObjectCache
from gateway.kube.client import KubeClient
from gateway.kube.follower import Viewpoint
from gateway.kube.hub_metrics import HubMetrics
from gateway.kube.run import DataPlane

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "telemetry"
HOST = "app.demo:3000"
BY_SCRAPER = {"instance", "job"}
"""Labels that Prometheus itself gives everything."""

VARIABLES = {"$__rate_interval": "5m", "$__interval": "1m"}
Shown = dict[str, set[str]]
"""Labels of each metric."""


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
    return found


def rules() -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]:
        yield from group["rules"]


def queries() -> Iterator[tuple[str, str]]:
    """Each query with what it is of."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            text = target["expr"]
            for name, value in VARIABLES.items():
                text = text.replace(name, value)
            yield panel["title"], text
    for rule in rules():
        yield rule["alert"], rule["expr"]


QUERIES = list(queries())


def nodes(query: Any) -> list[Any]:
    found: list[Any] = []
    promql_parser.walk(query, found.append)
    return found


def selectors(query: Any) -> list[Any]:
    return [node for node in nodes(query) if isinstance(node, promql_parser.VectorSelector)]


async def page(net: Any, server: Any) -> str:
    status, _, body = await net.ask(server.addresses["admin"][1], "/metrics")
    assert status == 200
    return str(body.decode())


async def hub_page(net: Any, port: int) -> str:
    """What a hub shows that manages a member and has made a plan."""
    hub = HubMetrics()
    hub.managed.labels("east").set(1)
    hub.token_expires.labels("east").set(1)
    hub.plans.inc()
    hub.plan_seconds.set(0.1)
    async with AdminServer(f"127.0.0.1:{port}", lambda: True, "", hub.registry):
        status, _, body = await net.ask(port, "/metrics")
    assert status == 200
    return str(body.decode())


@pytest.fixture
async def pages(net: Any, make: Any, ok: Any, tmp_path: Path, unused_tcp_port: int) -> list[str]:
    """What gateways show after whatever can happen to requests has happened, and a hub."""
    app = await net.app(lambda _head, _body: ok())
    remote, _, _ = await net.gateway(make.service(), make.slice("127.0.0.1", port=app), make.export())
    tracer = Tracer(parse_receiver(await Receiver().start(net)), 1.0, make.key("here"))
    local = make.service(), make.slice("127.0.0.1", port=net.dead_port())
    _, port, server = await net.gateway(
        *local, make.imported(c1=remote), make.policy("FailOver", c1=1), tracer=tracer
    )
    plane = DataPlane(
        cast("KubeClient", None), server, Viewpoint(make.key("here")), ObjectCache(tmp_path, make.key("here"))
    )
    server.add_gauges(plane.gauges)  # as `gateway run` does
    assert (await net.ask(port, host=HOST))[0] == 200, "by fail-over, after a retry and an ejection"
    assert (await net.ask(port, host="nobody.demo"))[0] == 404
    secured = World(net, make, ok, MutualTls.STRICT)
    await secured.start()
    assert (await secured.call())[0] == 200
    return [
        await page(net, server),
        await page(net, secured.c2.server),
        await hub_page(net, unused_tcp_port),
    ]


@pytest.fixture
def shown(pages: list[str]) -> Shown:
    """The labels of each metric on these pages."""
    found: Shown = {}
    for text in pages:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


async def test_every_metric_and_label_that_is_asked_for_is_there(shown: Shown) -> None:
    problems = []
    for title, text in QUERIES:
        query = promql_parser.parse(text)
        for one in selectors(query):
            if one.name not in shown:
                problems.append(f"{title}: nobody shows {one.name}")
                continue
            missing = {matcher.name for matcher in one.matchers.matchers} - shown[one.name] - BY_SCRAPER
            problems += [f"{title}: {one.name} has no label {label}" for label in missing]
        for node in nodes(query):
            if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
                below = [shown.get(one.name, set()) | BY_SCRAPER for one in selectors(node.expr)]
                lost = set(node.modifier.labels) - set.intersection(*below)
                problems += [f"{title}: nothing below has the label {label}" for label in lost]
    assert not problems, "\n".join(problems)


@pytest.mark.e2e
async def test_a_prometheus_answers_every_query_and_evaluates_every_rule(
    net: Any, pages: list[str], ok: Any, tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    ports = [await net.app(lambda *_, text=text: ok(text.encode())) for text in pages]
    targets = [f"127.0.0.1:{port}" for port in ports]
    async with prometheus(tmp_path, unused_tcp_port_factory(), targets, FOLDER / "alerts.yaml") as found:

        async def seen_twice() -> bool:
            return len(await found.query("count_over_time(up[1m]) > 1")) == len(targets)

        await eventually(seen_twice)
        empty = {
            title for title, text in QUERIES[: -len(list(rules()))] if not await found.query(any_of(text))
        }
        assert empty == {"Answers of 5xx by service"}, "there were none"

        async def evaluated() -> bool:
            return all(rule["health"] != "unknown" for rule in await found.rules())

        await eventually(evaluated)
        assert {rule["name"]: rule.get("lastError", "") for rule in await found.rules()} == {
            rule["alert"]: "" for rule in rules()
        }


def any_of(query: str) -> str:
    """A query of the dashboard where nothing is chosen of its variables."""
    return re.sub(r'"\$\w+"', '".*"', query)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.2)


async def test_every_variable_of_the_dashboard_has_values(shown: Shown) -> None:
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            match = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
            assert match is not None
            assert match[2] in shown[match[1]] | BY_SCRAPER


async def test_the_documents_list_what_is_shown_and_nothing_else(shown: Shown) -> None:
    text = (ROOT / "docs" / "gateway.md").read_text()
    table = text.partition("| metric | what it counts |")[2].partition("\n\n")[0]
    documented = set(re.findall(r"`((?:gateway|hub)_\w+)`", table))
    named = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown if not name.endswith("_created")}
    assert documented == named


def test_alerts_and_panels_name_reasons_that_there_are() -> None:
    text = (ROOT / "docs" / "gateway.md").read_text()
    for title, query in QUERIES:
        for one in selectors(promql_parser.parse(query)):
            for matcher in one.matchers.matchers:
                if matcher.name == "reason":
                    unknown = [word for word in matcher.value.split("|") if f"`{word}`" not in text]
                    assert not unknown, f"{title}: {unknown}"


def test_every_metric_is_on_the_dashboard() -> None:
    text = (ROOT / "docs" / "gateway.md").read_text()
    table = text.partition("| metric | what it counts |")[2].partition("\n\n")[0]
    asked = {
        re.sub(r"_(bucket|sum|count)$", "", one.name)
        for _, query in QUERIES
        for one in selectors(promql_parser.parse(query))
    }
    assert set(re.findall(r"`((?:gateway|hub)_\w+)`", table)) == asked


def test_each_alert_says_how_bad_it_is_and_what_to_do() -> None:
    found = list(rules())
    names = [rule["alert"] for rule in found]
    assert len(set(names)) == len(names)
    for rule in found:
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}, rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description"}, rule["alert"]
        kept = labels_of(promql_parser.parse(rule["expr"]))
        used = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        assert kept is None or used <= kept, f"{rule['alert']}: its series have no {used - (kept or set())}"


def labels_of(query: Any) -> set[str] | None:
    """Labels that every series of the result has by an aggregation. None: whatever the metric has."""
    for node in nodes(query):
        if isinstance(node, promql_parser.AggregateExpr):
            return (
                set(cast("Mapping[str, Any]", node.modifier).labels) if node.modifier is not None else set()
            )
    return None


def test_panels_lie_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    numbers = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(numbers)) == len(numbers)
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
