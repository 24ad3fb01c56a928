"""What could not be read of a cluster is told as that: never as if it were not there."""

from __future__ import annotations

from typing import Any, cast

import pytest
from platforms.world import CONFIG, SERVICE, SLOW, World, key

from cli.observe import between
from cli.observe.api import Api, ApiError
from cli.observe.callers import callers
from cli.observe.collect import look_at
from cli.observe.serving import untold
from cli.observe.view import SYSTEM, ClusterView, Unread
from cli.status.between import as_json
from stacks.config.loading import parse


class SlowApi:
    """It tells its version, and of other pages only those with `told` in them in time."""

    def __init__(self, told: str, error: ApiError) -> None:
        self._told, self._error = told, error

    async def json(self, path: str) -> Any:
        if path == "/version":
            return {"gitVersion": "v1.34.4"}
        if self._told in path:
            return {"items": []}
        raise self._error


async def read(told: str, error: ApiError) -> ClusterView:
    settings = parse(CONFIG)
    view = ClusterView(environment="dev", settings=settings.clusters[1])
    return await look_at(view, settings, cast("Api", SlowApi(told, error)), set())


async def test_each_page_that_does_not_come_in_time_is_noted_with_its_namespace() -> None:
    view = await read("/dapr-test/", ApiError("does not answer within 4 s"))
    assert view.error == ""
    assert str(view.unseen("ServiceExport")) == "could not be read (does not answer within 4 s)"
    assert view.unseen("Deployment", SYSTEM) == Unread("does not answer within 4 s")
    assert view.unseen("Deployment", "dapr-test") is None, "it was read, and there is none"
    assert view.unseen("Deployment") is not None, "of all namespaces some were not read"
    assert untold(view) == "its pods could not be read (does not answer within 4 s)"


@pytest.mark.parametrize(
    ("status", "refused"), [(0, False), (403, True), (404, True), (429, False), (500, False), (503, False)]
)
async def test_a_server_that_refuses_is_told_from_one_that_cannot_answer(status: int, refused: bool) -> None:
    found = (await read("nothing", ApiError("why", status))).unseen("Node")
    assert found is not None
    assert found.is_refused is refused


def test_nothing_is_known_to_be_absent_from_a_cluster_that_does_not_answer() -> None:
    world = World()
    world["cluster-1"].error = "does not answer within 4 s"
    view = world.platform().cluster("cluster-1")
    assert view.unseen("Service", "dapr-test") == Unread("does not answer within 4 s")


def test_callers_are_not_made_up_while_the_gateways_pods_are_not_known() -> None:
    world = World()
    world["cluster-1"].not_telling("Pod", SYSTEM)
    view = world.platform().cluster("cluster-1")
    assert callers(view) == []
    assert untold(view) == f"its pods {SLOW}"


def test_a_gateway_that_does_not_tell_is_the_reason_why_its_routes_are_unknown() -> None:
    world = World()
    world["cluster-2"].page_error = "does not answer within 4 s"
    assert untold(world.platform().cluster("cluster-2")) == "gateway-1: does not answer within 4 s"


@pytest.mark.parametrize("kind", ["EndpointSlice", "Service"])
def test_callers_whose_endpoints_are_not_known_may_go_past_the_gateways(kind: str) -> None:
    world = World()
    world["cluster-2"].not_telling(kind, SERVICE[0])
    (found,) = callers(world.platform().cluster("cluster-2"))
    assert found.unsure == f"its endpoints {SLOW}"
    assert [one.percent for one in found.clusters] == [0.0, 50.0, 50.0], "as the gateway would have it"


def test_a_service_that_is_not_there_needs_no_endpoints() -> None:
    world = World()
    world["cluster-2"].drop("Service", "nodeapp")
    (found,) = callers(world.platform().cluster("cluster-2"))
    assert (found.unsure, found.direct) == ("", "")


def test_callers_past_the_gateways_are_not_said_to_be_meant_while_the_policy_is_not_known() -> None:
    world = World()
    world["cluster-1"].not_telling("GlobalTrafficPolicy")
    world.take_over(reason="PortNotCarried", message="")
    found = callers(world.platform().cluster("cluster-1"))[0]
    assert (found.direct, found.clusters[0].percent) == (f"its policy {SLOW}", 100)


def test_whom_a_cluster_asks_is_unknown_while_it_is_not_known_how_it_routes() -> None:
    world = World()
    world["cluster-1"].not_telling("Pod")
    world["cluster-2"].error = "does not answer within 4 s"
    found = {pair.caller: pair for pair in between.pairs(world.platform()) if not pair.callee}
    assert found[key("cluster-1")].over == "unknown"
    assert found[key("cluster-1")].fault == f"its routes could not be read (its pods {SLOW})"
    told = next(one for one in as_json(world.platform()) if one["caller"] == key("cluster-1"))
    assert (told["callee"], told["roots"]) == (None, {key("cluster-1"): []})
    assert found[key("cluster-2")].fault == "its routes could not be read (does not answer within 4 s)"
