"""How clusters are read again and again: against an API that answers what a world in memory has."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from platforms.world import SERVICE, Cluster, World, key

from cli.dashboard import collect
from cli.dashboard.collect import LEAST_PAUSE, Collector, Reader, pause, with_earlier
from cli.dashboard.reading import Reading
from cli.dashboard.words import Query
from cli.observe.api import Api, ApiError
from cli.observe.collect import EVERYWHERE, OF_NAMESPACES, ON_MEMBERS, ON_THE_PLANE
from cli.observe.environment import Running
from cli.observe.view import Unread
from stacks.config.loading import parse

NODEAPP = "/".join(SERVICE)
LISTED = {path: kind for kind, path in (EVERYWHERE | ON_THE_PLANE | ON_MEMBERS).items()}
LABELS = f'service="{NODEAPP}",cluster="{key("cluster-1")}",policy="FailOver",code="200"'


@dataclass
class FakeApi:
    """A cluster's API. `error` is what all of it answers, `pages` what a gateway says in place of its own."""

    cluster: Cluster
    error: ApiError | None = None
    pages: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    forbidden: str = "nothing"
    """Paths with this in them are."""
    requests: int = 0
    asked: list[str] = field(default_factory=list)

    async def text(self, path: str) -> str:
        self.asked.append(path)
        if self.error:
            raise self.error
        if self.forbidden in path:
            raise ApiError("it is forbidden", 403)
        if path.endswith("/proxy/config"):
            if self.hangs:
                await asyncio.sleep(0.2)
                raise ApiError("does not answer within 4 s")
            return self.pages.get("config", json.dumps(self.cluster.config))
        if path.endswith("/proxy/metrics"):
            self.requests += 10
            return self.pages.get("metrics", f"gateway_requests_total{{{LABELS}}} {self.requests}\n")
        return json.dumps(self._listed(path))

    async def json(self, path: str) -> Any:
        text = await self.text(path)
        try:
            return json.loads(text)
        except ValueError as error:
            raise ApiError(f"{path} is no JSON") from error

    def _listed(self, path: str) -> dict[str, Any]:
        if path == "/version":
            return {"gitVersion": "v1.34.4"}
        kind, namespace = LISTED.get(path), None
        for one, pattern in OF_NAMESPACES.items():
            start, _, end = pattern.partition("{}")
            if path.startswith(start) and path.endswith(end):
                kind, namespace = one, path.removeprefix(start).removesuffix(end)
        objects = self.cluster.objects.get(str(kind), [])
        return {"items": [one for one in objects if namespace in (None, one["metadata"]["namespace"])]}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def apis(world: World) -> dict[str, FakeApi]:
    return {name: FakeApi(cluster) for name, cluster in world.clusters.items()}


@pytest.fixture
def running(world: World, apis: dict[str, FakeApi]) -> Running:
    return Running(
        engine=cast("Any", SimpleNamespace(environment="dev")),
        settings=parse(world.config),
        apis=cast("dict[str, Api]", apis),
        missing={},
    )


def reader(running: Running, name: str = "cluster-2") -> Reader:
    config = next(one for one in running.settings.clusters if one.name == name)
    return Reader(running, config, running.apis[name])


def nothing_known(running: Running, name: str = "cluster-2") -> Reading:
    return Collector(running)._readings[name]


async def test_a_reading_has_objects_routes_and_from_the_second_on_rates(running: Running) -> None:
    reads = reader(running)
    first = await reads.read(nothing_known(running))
    assert (first.error, first.view.version, first.services[NODEAPP].policy) == ("", "v1.34.4", "FailOver")
    assert not first.rates.flows
    second = await reads.read(first)
    assert second.rates.flows[NODEAPP, key("cluster-1")].requests > 0


async def test_a_policy_that_changes_is_in_the_next_reading_and_all_objects_in_the_one_after(
    running: Running, world: World, apis: dict[str, FakeApi]
) -> None:
    reads = reader(running)
    found = await reads.read(nothing_known(running))
    reads._restless_until = 0.0
    apis["cluster-2"].asked.clear()
    found = await reads.read(found)
    assert reads._look is None
    assert not any("/pods" in path and "proxy" not in path for path in apis["cluster-2"].asked)
    policy = world["cluster-2"].get("GlobalTrafficPolicy", "nodeapp")
    policy["metadata"]["resourceVersion"] = "7"
    policy["spec"]["lbType"] = "ActiveActive"
    found = await reads.read(found)
    assert found.services[NODEAPP].policy == "ActiveActive"
    assert reads._look is not None
    await reads._look
    assert any(path.endswith("/endpointslices") for path in apis["cluster-2"].asked)


async def test_a_cluster_that_refuses_keeps_what_was_known_and_says_why(
    running: Running, apis: dict[str, FakeApi]
) -> None:
    reads = reader(running)
    found = await reads.read(nothing_known(running))
    apis["cluster-2"].error = ApiError("dial tcp: connection refused", 502)
    gone = await reads.read(found)
    assert (gone.reach(gone.seen), gone.error) == ("down", "dial tcp: connection refused")
    assert gone.services == found.services
    apis["cluster-2"].error = None
    assert (await reads.read(gone)).error == ""


async def test_a_right_that_is_lacking_is_no_cluster_that_is_down(
    running: Running, apis: dict[str, FakeApi]
) -> None:
    apis["cluster-2"].forbidden = "serviceexports"
    found = await reader(running).read(nothing_known(running))
    assert (found.error, found.view.unread["ServiceExport", ""].reason) == ("", "it is forbidden")
    apis["cluster-2"].forbidden = "/proxy/"
    found = await reader(running).read(found)
    assert (found.error, found.view.gateways[0].error) == ("", "it is forbidden")


async def test_a_gateway_that_hangs_does_not_make_its_cluster_silent(
    running: Running, apis: dict[str, FakeApi], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "PAGE_SECONDS", 0.05)
    apis["cluster-2"].hangs = True
    found = await reader(running).read(nothing_known(running))
    assert found.error == ""
    assert found.view.gateways[0].error == "does not answer within 0.05 s"
    apis["cluster-2"].hangs = False
    well = await reader(running).read(nothing_known(running))
    apis["cluster-2"].hangs = True
    found = await reader(running).read(well)
    assert (found.view.config, found.tracks) == (well.view.config, well.tracks), "what was known stays"


@pytest.mark.parametrize("page", ['{"northSouth": [{}]}', '{"northSouth": 5}', "[1]"])
async def test_what_nobody_understands_costs_its_cluster_alone(
    running: Running, apis: dict[str, FakeApi], page: str
) -> None:
    apis["cluster-2"].pages = {"config": page}
    found = await reader(running).read(nothing_known(running))
    assert "not understood" in found.error


async def test_a_page_that_is_no_json_is_an_error_of_its_gateway(
    running: Running, apis: dict[str, FakeApi]
) -> None:
    apis["cluster-2"].pages = {"config": "<html>"}
    found = await reader(running).read(nothing_known(running))
    assert (found.error, "no JSON" in found.view.gateways[0].error) == ("", True)


async def test_all_clusters_are_read_side_by_side_and_a_change_is_told(
    running: Running, apis: dict[str, FakeApi]
) -> None:
    collector = Collector(running)
    assert {one["error"] for one in collector.frame(Query())["clusters"]} == {"not asked yet"}
    work = asyncio.create_task(collector.run())
    try:
        async with asyncio.timeout(20):
            while collector.frame(Query())["totals"]["reachable"] < 4:
                await collector.next_change().wait()
            apis["cluster-3"].error = ApiError("connection refused", 502)
            await collector.next_change().wait()
        found = collector.frame(Query())
        assert [one["name"] for one in found["clusters"] if one["reach"] == "down"] == ["cluster-3"]
    finally:
        work.cancel()


async def test_all_clusters_are_read_one_time_for_a_picture(
    running: Running, apis: dict[str, FakeApi]
) -> None:
    apis["cluster-3"].error = ApiError("connection refused", 502)
    found = await Collector(running).once()
    later = found.platform.at + 60
    assert [one.reach(later) for one in found.readings] == ["up", "up", "up", "down"]
    assert [one.error for one in found.readings] == ["", "", "", "connection refused"]
    assert found.shows == "moment"
    assert found.readings[2].services[NODEAPP].policy == "FailOver"
    assert not any(one.rates.flows for one in found.readings)
    assert any(one.name.startswith("cluster-3: ") for one in found.problems)


def test_the_pause_leaves_gateways_and_this_machine_alone_for_most_of_the_time() -> None:
    assert pause(took=0.1, paged=0.01, work=0.001, clusters=4) == LEAST_PAUSE
    assert pause(took=2.0, paged=0.01, work=0.001, clusters=4) == 3.0
    assert pause(took=0.5, paged=0.4, work=0.001, clusters=4) == 2.0
    assert pause(took=0.5, paged=0.4, work=0.05, clusters=64) == pytest.approx(6.4)


async def test_the_doctor_looks_once_for_all_who_ask(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    async def look(_: Running) -> list[Any]:
        looks.append(1)
        await asyncio.sleep(0)
        return []

    monkeypatch.setattr(collect, "after", look)
    collector = Collector(running)
    first, second = await asyncio.gather(collector.doctor(NODEAPP), collector.doctor("cluster-1"))
    third = await collector.doctor(NODEAPP)
    assert len(looks) == 1
    assert first["at"] == second["at"] == third["at"]


def test_what_does_not_come_in_time_is_kept_as_it_was() -> None:
    world = World()
    before = world.platform().cluster("cluster-1")
    world["cluster-1"].not_telling("Service", "dapr-test")
    world["cluster-1"].not_telling("Node")
    world["cluster-1"].not_telling("ServiceExport", why=Unread("it is forbidden", 403))
    found = with_earlier(world.platform().cluster("cluster-1"), before)
    assert found.objects["Service"] == before.objects["Service"]
    assert found.objects["Node"] == before.objects["Node"]
    assert found.all("ServiceExport") == ()
    assert found.unseen("Node"), "and it is told that it is of before"
    assert with_earlier(before, before) is before
