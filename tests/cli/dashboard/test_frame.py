"""What the page is told of a platform at one moment."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from platforms.moments import calls, large, moment
from platforms.world import SERVICE, SLOW, World, condition, key

from cli.dashboard.frame import MOST_PROBLEMS, frame
from cli.dashboard.reading import SILENT_SECONDS, ServiceAt
from cli.dashboard.schema import ClusterFrame, Frame, LinkFrame
from cli.dashboard.words import Query, about, query
from cli.doctor.check import Check

NODEAPP = "/".join(SERVICE)
AT = 1_000.0
EVERYTHING = Query()


def told(world: World, asked: Query = EVERYTHING, **moving: Any) -> Frame:
    return frame(
        moment(world, {name.replace("_", "-"): flows for name, flows in moving.items()}, AT), asked, AT
    )


def cluster(found: Frame, name: str) -> ClusterFrame:
    return next(one for one in found["clusters"] if one["name"] == name)


def link(found: Frame, source: str, target: str) -> LinkFrame:
    names = [one["name"] for one in found["clusters"]]
    wanted = (names.index(source), names.index(target))
    return next(one for one in found["links"] if (one["source"], one["target"]) == wanted)


def test_a_healthy_platform_is_told_with_shares_and_policies() -> None:
    found = told(World())
    assert [one["state"] for one in found["clusters"]] == ["good"] * 4
    (service,) = found["services"]
    assert (service["name"], service["state"], service["policies"]) == (NODEAPP, "good", {"FailOver": 1})
    assert [found["clusters"][number]["name"] for number in service["exporters"]] == [
        "cluster-1",
        "cluster-3",
    ]
    assert link(found, "cluster-2", "cluster-1")["percent"] == 50
    assert not found["problems"]
    json.dumps(found, allow_nan=False)


def test_a_call_between_clusters_is_one_link_and_served_once() -> None:
    to = (NODEAPP, key("cluster-1"))
    found = told(World(), cluster_2={to: calls(40)}, cluster_1={to: calls(50)})
    assert link(found, "cluster-2", "cluster-1")["traffic"]["rps"] == 40
    assert cluster(found, "cluster-1")["served"]["rps"] == 50
    assert cluster(found, "cluster-2")["sent"]["rps"] == 40
    assert found["services"][0]["served"]["rps"] == 50
    assert (found["totals"]["served"]["rps"], found["totals"]["between"]["rps"]) == (50, 40)


def test_a_failed_call_counts_once_where_both_sides_saw_it_and_when_only_the_caller_did() -> None:
    to = (NODEAPP, key("cluster-1"))
    both = told(World(), cluster_2={to: calls(40, errors=3)}, cluster_1={to: calls(40, errors=3)})
    assert both["services"][0]["served"]["errors"] == 3
    alone = told(World(), cluster_2={to: calls(40, errors=3)})
    assert alone["services"][0]["served"]["errors"] == 3
    assert link(alone, "cluster-2", "cluster-1")["traffic"]["errors"] == 3


def test_latencies_are_milliseconds() -> None:
    found = told(World(), cluster_1={(NODEAPP, key("cluster-1")): calls(10, seconds=0.05)})
    served = found["services"][0]["served"]
    assert served["p50"] is not None
    assert 10 < served["p50"] < 100


def test_a_cluster_that_refuses_is_down_with_what_it_says() -> None:
    world = World()
    world["cluster-3"].error = "connection refused"
    found = told(world)
    gone = cluster(found, "cluster-3")
    assert (gone["reach"], gone["state"], gone["error"]) == ("down", "bad", "connection refused")
    assert found["totals"]["reachable"] == 3
    assert found["problems"][0]["name"].startswith("cluster-3: ")


def test_a_cluster_that_says_nothing_is_silent_and_what_was_known_stays() -> None:
    found = frame(moment(World(), at=AT), Query(), AT + SILENT_SECONDS)
    assert {one["reach"] for one in found["clusters"]} == {"silent"}
    assert found["clusters"][1]["seen"] == AT
    assert found["services"]


def test_an_ejected_cluster_is_told_at_link_and_service() -> None:
    world = World()
    world["cluster-2"].ejected = {"172.28.0.1:83"}
    world["cluster-2"].follow()
    found = told(world)
    assert link(found, "cluster-2", "cluster-3")["ejected"] == 1
    assert link(found, "cluster-2", "cluster-1")["percent"] == 100
    assert found["services"][0]["state"] == "warn"


def test_a_condition_that_tells_of_a_fault_is_told_at_its_service() -> None:
    world = World()
    export = world["cluster-1"].get("ServiceExport", "nodeapp")
    export["status"]["conditions"] = [condition("Conflict", "True", "Conflict", "cluster-3 has it")]
    (service,) = told(world)["services"]
    assert (service["state"], "cluster-3 has it" in service["why"]) == ("bad", True)


def test_filters_hold_for_services_and_links_and_not_for_totals() -> None:
    found = frame(large(8, 40), Query(text="service-1", namespace="ns-10"), AT)
    assert [one["name"] for one in found["services"]] == ["ns-10/service-10"]
    assert {one["services"] for one in found["links"]} == {1}
    assert found["totals"]["services"] == 40
    assert len(found["namespaces"]) == 20


def test_the_detail_of_a_service_says_who_serves_whom_and_what_its_objects_say() -> None:
    flows = {(NODEAPP, key("cluster-1")): calls(40)}
    found = told(World(), Query(service=NODEAPP), cluster_2=flows)["detail"]
    assert found is not None
    (caller,) = [one for one in found["callers"] if one["cluster"] == "cluster-2"]
    assert (caller["who"], caller["policy"]) == ("its pods", "FailOver")
    shares = {one["cluster"]: (one["percent"], one["rps"]) for one in caller["parts"]}
    assert shares["cluster-1"] == (50, 40)
    assert found["served"] == []
    assert {one["cluster"] for one in found["exports"]} == {"cluster-1", "cluster-3"}
    assert found["exports"][0]["conditions"][0]["type"] == "Valid"
    assert found["policies"][0]["says"].startswith("FailOver to ")
    assert found["why"] == []


def test_what_is_brought_to_pods_is_told_once_for_all_callers() -> None:
    flows = {(NODEAPP, key("cluster-1")): calls(50)}
    found = told(World(), Query(service=NODEAPP), cluster_1=flows)["detail"]
    assert found is not None
    assert [(one["cluster"], one["rps"]) for one in found["served"]] == [("cluster-1", 50)]
    assert {share["rps"] for one in found["callers"] for share in one["parts"]} == {0}


def test_why_is_what_explain_says_of_the_callers_that_are_asked_for() -> None:
    found = told(World(), Query(service=NODEAPP, source="cluster-2"))["detail"]
    assert found is not None
    assert found["why"][0]["decided"] == "the gateway"
    assert "cluster-1 50 %" in found["why"][1]["decided"]


def test_callers_past_the_gateways_are_told_with_the_reason() -> None:
    world = World()
    world.take_over(reason="Headless", message="")
    found = told(world, Query(service=NODEAPP))["detail"]
    assert found is not None
    assert "Headless" in [one["direct"] for one in found["callers"] if one["cluster"] == "cluster-1"]


def test_the_detail_of_a_cluster_tells_its_gateways_and_what_moves() -> None:
    flows = {(NODEAPP, key("cluster-1")): calls(40, errors=1)}
    found = told(World(), Query(cluster="cluster-2"), cluster_2=flows)["detail"]
    assert found is not None
    assert found["gateways"][0]["pod"] == "gateway-1"
    assert found["membership"]["status"] == "True"
    assert found["flows"][0]["cluster"] == "cluster-1"
    assert told(World(), Query(cluster="nowhere"))["detail"] is None


class Counted(Mapping[str, ServiceAt]):
    """Services of a cluster that count how often they are gone through."""

    def __init__(self, services: Mapping[str, ServiceAt]) -> None:
        self.services, self.times = services, 0

    def __getitem__(self, name: str) -> ServiceAt:
        return self.services[name]

    def __len__(self) -> int:
        return len(self.services)

    def __iter__(self) -> Iterator[str]:
        self.times += 1
        return iter(self.services)


def test_64_clusters_with_500_services_are_gone_through_once_and_told_in_bounds() -> None:
    found = large(64, 500)
    counted = [Counted(one.services) for one in found.readings]
    readings = [replace(one, services=c) for one, c in zip(found.readings, counted, strict=True)]
    whole = frame(replace(found, readings=readings), Query(), AT)
    assert {one.times for one in counted} == {1}
    assert (len(whole["clusters"]), len(whole["services"])) == (64, 500)
    assert len(whole["links"]) <= 64 * 64
    assert len(json.dumps(whole)) < 1_500_000


def test_of_many_problems_the_first_are_told_and_all_are_counted() -> None:
    many = [Check(group="platform", name=f"cluster-1: {n}", result="fail", seen="") for n in range(80)]
    found = frame(moment(World(), at=AT, problems=many), Query(), AT)
    assert (len(found["problems"]), found["totals"]["problems"]) == (MOST_PROBLEMS, 80)
    assert cluster(found, "cluster-1")["problems"] == 80


def test_a_query_is_read_and_what_is_none_is_refused() -> None:
    assert query({"text": "shop", "namespace": "a"}) == Query(text="shop", namespace="a")
    with pytest.raises(ValueError, match="no such filter"):
        query({"colour": "red"})
    with pytest.raises(ValueError, match="longer than"):
        query({"text": "x" * 301})


@pytest.mark.parametrize(
    ("name", "subject", "is_about"),
    [
        (f"cluster-2 → {NODEAPP} at cluster-1", NODEAPP, True),
        (f"cluster-2 → {NODEAPP}-2 at cluster-1", NODEAPP, False),
        (f"cluster-1: ServiceExport {NODEAPP}", NODEAPP, True),
        ("cluster-1: gateway", "cluster-1", True),
        ("cluster-10: gateway", "cluster-1", False),
    ],
)
def test_a_check_is_about_what_its_name_names(name: str, subject: str, is_about: bool) -> None:
    assert about(Check(group="path", name=name, result="ok", seen=""), subject) is is_about


def test_what_was_not_read_is_not_counted_as_none() -> None:
    world = World()
    world["cluster-1"].not_telling("Deployment")
    world["cluster-1"].not_telling("Pod")
    found = frame(moment(world), Query(), 0.0)
    assert (found["clusters"][1]["ready"], found["clusters"][1]["wanted"]) == (None, None)
    (service,) = found["services"]
    assert (service["state"], service["why"]) == (
        "warn", f"cluster-1 exports it and was not read: its pods {SLOW}",
    )  # fmt: skip
    looked = frame(moment(world), Query(cluster="cluster-1"), 0.0)["detail"]
    assert looked
    assert looked["untold"] == f"its pods {SLOW}"
    called = frame(moment(world), Query(service="dapr-test/nodeapp", source="cluster-1"), 0.0)["detail"]
    assert called
    assert called["why"][0]["decided"] == f"not known how it routes: its pods {SLOW}"
