"""Why calls go where they go, told of a platform in memory."""

from __future__ import annotations

import argparse
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from platforms.world import SLOW, World, http_endpoint, key

from airgap.report import Report
from cli.arguments import parser
from cli.errors import UserError
from cli.explain import command, decision, requests, target
from cli.explain.decision import Hop
from cli.observe.api import ApiError
from cli.observe.view import Platform, Unread
from cli.paths import Paths

URL = "http://nodeapp.dapr-test:3000/ports"
ROOT = Path(__file__).resolve().parents[3]


def hops(world: World, said: str = URL, source: str = "cluster-2") -> list[Hop]:
    platform = world.platform()
    view = command.cluster(platform, source)
    return decision.explain(platform, view, target.read(said, view))


def refusal(world: World, said: str = URL, source: str = "cluster-2") -> str:
    with pytest.raises(UserError) as error:
        hops(world, said, source)
    return str(error.value)


def test_calls_are_followed_to_the_pods_of_the_clusters_that_serve_them() -> None:
    name, gateway, one, three = hops(World())
    assert (name.at, name.decided) == ("cluster-2: dapr-test/nodeapp:3000 by its own name", "the gateway")
    assert (gateway.at, gateway.decided) == ("cluster-2: gateway", "cluster-1 50 %, cluster-3 50 %")
    assert gateway.why == (
        "policy FailOver to cluster-1 100, cluster-3 100",
        "first: cluster-2, weight 100: no pod is ready → 0 %",
        "else: cluster-1, weight 100: gateway 172.28.0.1:81 is well → 50 %",
        "else: cluster-3, weight 100: gateway 172.28.0.1:83 is well → 50 %",
    )
    assert (one.at, one.decided) == ("cluster-1: gateway", "cluster-1 100 %")
    assert one.why == ("first: cluster-1, weight 100: pod 10.42.0.9:3000 is well → 100 %",)
    assert three.at == "cluster-3: gateway"


def test_who_is_left_out_is_said_and_gets_nothing() -> None:
    world = World()
    world["cluster-2"].ejected = {"172.28.0.1:83"}
    world["cluster-2"].follow()
    _, gateway, one = hops(world)
    assert gateway.decided == "cluster-1 100 %"
    assert "else: cluster-3, weight 100: gateway 172.28.0.1:83 is left out → 0 %" in gateway.why
    assert one.at == "cluster-1: gateway"


def test_calls_that_may_not_leave_are_refused_and_the_policy_is_named() -> None:
    world = World()
    world.no_policy()
    world.config["policies"] = []
    (name,) = hops(world)
    assert (name.decided, name.why[0]) == (
        "refused: nobody serves it",
        "there is no policy for it, which is as Locality",
    )
    doctor = world.paths()["cluster-2 → dapr-test/nodeapp"].hint
    assert name.why[1:] == (doctor,), "how to let them out, in the doctor's words"
    assert "lbType: FailOver, targets: [{cluster: cluster-1}, {cluster: cluster-3}]}" in doctor


def test_a_policy_that_the_settings_have_and_the_cluster_has_lost_is_brought_back() -> None:
    world = World()
    world.no_policy()
    (name,) = hops(world)
    assert name.why[1].endswith(
        "has FailOver for it, which is not there: ./stack up dev --refresh brings it back"
    )


def test_a_policy_of_the_settings_that_keeps_calls_in_is_changed_where_it_stands() -> None:
    world = World()
    world.no_policy()
    world.config["policies"][0] |= {"lbType": "Locality", "targets": []}
    (name,) = hops(world)
    assert name.why[1].startswith("To let them out, change lbType and targets of its entry in `policies`")


def test_callers_beside_local_pods_go_past_the_gateways_until_the_service_is_taken_over() -> None:
    world = World()
    world.take_over(reason="NotExported", message="it is not exported")
    (name, *others) = hops(world, source="cluster-1")
    assert (name.decided, name.why, others) == (
        "local pods directly, past the gateways", ("NotExported",), [],
    )  # fmt: skip
    by_set_name = hops(world, "http://nodeapp.dapr-test.svc.clusterset.local:3000", "cluster-1")
    assert by_set_name[0].decided == "the gateway"
    assert by_set_name[1].decided == "cluster-1 50 %, cluster-3 50 %"
    taken = World()
    taken.take_over()
    assert [hop.at for hop in hops(taken, source="cluster-1")][1:] == [
        "cluster-1: gateway",
        "cluster-3: gateway",
    ]
    assert "policy ActiveActive to cluster-3 100, for every caller" in hops(taken, source="cluster-1")[1].why


def test_local_pods_serve_where_the_policy_keeps_calls_at_home() -> None:
    (name,) = hops(World(), source="cluster-1")
    assert (name.decided, name.why) == ("local pods", ("there is no policy for it, which is as Locality",))


def test_an_app_id_is_that_of_another_cluster() -> None:
    world = World()
    world["cluster-2"].add("HTTPEndpoint", http_endpoint())
    assert hops(world, "nodeapp")[1].decided == "cluster-1 50 %, cluster-3 50 %"
    assert refusal(world, "shop").startswith("no app-id 'shop' leads out of cluster-2")
    assert "app-ids of other clusters there: nodeapp" in refusal(world, "shop")


def test_requests_that_match_are_told_of_at_each_gateway() -> None:
    world = World()
    match = {key("cluster-3"): {"headers": [{"name": "x-canary", "value": "true"}]}}
    policy = world["cluster-2"].get("GlobalTrafficPolicy", "nodeapp")
    policy["metadata"]["annotations"] = {"multicluster.flomesh.io/match": json.dumps(match)}
    policy["spec"]["targets"][1]["weight"] = 0
    world["cluster-2"].follow()
    _, gateway, _, three = hops(world)
    assert gateway.decided == "cluster-1 100 %"
    assert gateway.why[-1] == "requests that match x-canary: true: cluster-3 100 %"
    assert three.at == "cluster-3: gateway"


def test_a_policy_that_no_gateway_has_taken_in_yet_is_named() -> None:
    world = World()
    world.set_policy("ActiveActive")
    assert hops(world)[1].why[0].endswith("; in force still: FailOver")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("http://nodeapp:3000", "nodeapp names no Service"),
        ("http://nodeapp.dapr-test.example.com:3000/", "names no Service"),
        ("https://nodeapp.dapr-test:3000/", "gateways carry HTTP alone"),
        ("http://nodeapp.dapr-test:99999/", "is no URL"),
        ("http://nodeapp.dapr-test/", "has no port 80 in cluster-2: it has 3000"),
        ("http://shop.dapr-test:3000/", "has no Service dapr-test/shop and imports none: it imports"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_named_with_what_is(said: str, message: str) -> None:
    assert message in refusal(World(), said)


def test_an_unknown_cluster_and_one_that_is_down_are_named() -> None:
    with pytest.raises(UserError, match="--from cluster-9: there is no such cluster"):
        hops(World(), source="cluster-9")
    down = World()
    down["cluster-1"].error = "does not answer within 4 s"
    down["cluster-2"].follow()
    assert hops(down)[2].decided == "cannot be asked: does not answer within 4 s"
    silent = World()
    silent["cluster-2"].scale_to_zero("gateway")
    assert "no gateway of cluster-2 says how it routes: none is ready" in refusal(silent)
    gone = World()
    gone["cluster-3"].drop("ServiceExport", "nodeapp")
    gone["cluster-3"].follow()
    assert hops(gone)[3].decided == "refused: it has no such service"


def test_a_view_that_could_not_be_read_is_the_first_thing_said() -> None:
    world = World()
    platform = world.platform()
    view = command.cluster(platform, "cluster-2")
    meant = target.read(URL, view)
    world["cluster-2"].error = "does not answer"
    broken = command.cluster(world.platform(), "cluster-2")
    with pytest.raises(UserError, match="cluster-2 cannot be asked: does not answer"):
        decision.explain(platform, broken, meant)


def test_a_service_without_a_route_has_no_policy() -> None:
    world = World()
    world["cluster-2"].config = {"eastWest": []}
    assert "has no route for dapr-test/nodeapp:3000" in refusal(world)


def entry(listener: str, seconds: float, **said: Any) -> str:
    known = {
        "time": "t", "listener": listener, "method": "GET", "host": "nodeapp.dapr-test:3000",
        "target": "/ports", "status": 200, "seconds": seconds, "service": "dapr-test/nodeapp",
        "policy": "FailOver", "cluster": key("cluster-1"), "endpoint": "172.28.0.1:81",
        "reason": "fail-over", "attempts": 1, "request_id": "abc",
    }  # fmt: skip
    return json.dumps(known | said)


LOGS = {
    "cluster-1": "\n".join([
        entry("north-south", 0.01, endpoint="10.42.0.9:3000", reason="local"),
        entry("north-south", 0.5, request_id="other-abc"),
        '{"request_id":"abc", cut o',
    ]),
    "cluster-2": entry("east-west", 0.02),
}  # fmt: skip


def test_a_past_request_is_told_in_the_order_of_its_gateways() -> None:
    entries = {name: list(requests.found(log, "abc")) for name, log in LOGS.items()}
    first, second = requests.hops(World().platform(), entries)
    assert (first.at, second.at) == ("cluster-2: gateway, east-west", "cluster-1: gateway, north-south")
    assert first.decided == "GET nodeapp.dapr-test:3000/ports went to cluster-1 at 172.28.0.1:81"
    assert first.why[0] == "fail-over: nobody in a cluster before this one could serve"
    assert second.why[0] == "local: a local pod"
    nowhere = requests.hops(
        World().platform(),
        {"cluster-2": [json.loads(entry("east-west", 0, cluster=None, reason="no-answer"))]},
    )
    assert nowhere[0].decided.endswith("went to nowhere")
    assert nowhere[0].why[0] == "no-answer: this went wrong"


@dataclass
class FakeApi:
    """A cluster's API that has nothing but the gateway's log."""

    log: str

    async def text(self, path: str) -> str:
        assert "/pods/gateway-1/log?container=gateway&" in path
        if not self.log:
            raise ApiError("no")
        return self.log


@dataclass
class FakeRunning:
    """A platform that is up."""

    platform: Platform
    apis: dict[str, FakeApi] = field(default_factory=dict)

    async def look(self) -> Platform:
        return self.platform


def run(monkeypatch: pytest.MonkeyPatch, world: World, *words: str) -> int:
    logs = {name: FakeApi(LOGS.get(name, "")) for name in world.clusters}

    @asynccontextmanager
    async def up(_engine: object) -> AsyncIterator[FakeRunning]:
        yield FakeRunning(world.platform(), logs)

    monkeypatch.setattr(command, "running", up)
    arguments: argparse.Namespace = parser().parse_args(["explain", *words])
    paths = Paths(root=ROOT, cache=ROOT / "none", state=ROOT / "none")
    monkeypatch.setattr(command, "engine_of", lambda *_: None)
    return command.run(arguments, paths, Report())


def test_the_command_prints_each_hop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, World(), "--from", "cluster-2", URL) == 0
    text = capsys.readouterr().out
    assert "2. cluster-2: gateway → cluster-1 50 %, cluster-3 50 %" in text
    assert run(monkeypatch, World(), "--request-id", "abc", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [hop["at"] for hop in found] == [
        "cluster-2: gateway, east-west",
        "cluster-1: gateway, north-south",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give a URL or an app-id"),
        ((URL, "--request-id", "abc"), "give a URL or an app-id"),
        ((URL,), "--from is missing"),
        (("--request-id", "lost"), "no gateway has the request lost in the last 20000 lines"),
        (("--request-id", "lost"), "Not all could be read: control-plane, gateway-1: no"),
        ((URL, "--from", "cluster-2", "--environment", "moon"), "unknown environment 'moon'"),
    ],
)
def test_the_command_says_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError) as error:
        run(monkeypatch, World(), *words)
    assert message in str(error.value)


APP_ID = "nodeapp"


@pytest.mark.parametrize(
    ("kind", "said", "what"),
    [
        ("Service", URL, "its Services and imports"),
        ("ServiceImport", URL, "its Services and imports"),
        ("HTTPEndpoint", APP_ID, "its app-ids of other clusters"),
    ],
)
def test_what_was_not_read_in_time_is_not_said_to_be_absent(kind: str, said: str, what: str) -> None:
    world = World()
    cluster = world["cluster-2"]
    cluster.objects["Service"] = cluster.objects["ServiceImport"] = []
    cluster.not_telling(kind)
    told = refusal(world, said)
    assert told.startswith(f"cluster-2 does not tell enough: {what} {SLOW}.")
    assert "Ask again" in told
    cluster.not_telling(kind, why=Unread("it is forbidden", 403))
    assert "Ask again" not in refusal(world, said)


@pytest.mark.parametrize("said", [URL, APP_ID])
def test_a_cluster_that_does_not_answer_is_not_searched(said: str) -> None:
    world = World()
    world["cluster-2"].error = "does not answer within 4 s"
    assert refusal(world, said) == "cluster-2 cannot be asked: does not answer within 4 s."


def test_gateways_whose_pods_were_not_read_are_not_said_to_be_unready() -> None:
    world = World()
    world["cluster-2"].not_telling("Pod")
    assert refusal(world) == f"no gateway of cluster-2 says how it routes: its pods {SLOW}."
    world = World()
    world["cluster-1"].not_telling("Pod")
    assert hops(world)[2].decided == f"cannot be asked: its pods {SLOW}"


def test_endpoints_and_a_policy_that_were_not_read_are_unknown() -> None:
    world = World()
    world["cluster-2"].not_telling("EndpointSlice", "dapr-test")
    world["cluster-2"].not_telling("GlobalTrafficPolicy")
    name, gateway, *_ = hops(world)
    assert (name.decided[:9], name.why) == ("not known", (f"its endpoints {SLOW}",))
    assert gateway.why[0] == f"its policy {SLOW}; in force: FailOver"


def test_when_all_are_left_out_all_are_tried() -> None:
    world = World()
    world["cluster-2"].ejected = {"172.28.0.1:81", "172.28.0.1:83"}
    world["cluster-2"].follow()
    assert "all are left out, so all are tried" in hops(world)[1].why


def test_a_past_request_is_not_missing_from_logs_that_nobody_could_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    world["cluster-1"].not_telling("Pod")
    with pytest.raises(UserError, match=r"Not all could be read: .*cluster-1: could not be read \(does not"):
        run(monkeypatch, world, "--request-id", "unknown")
