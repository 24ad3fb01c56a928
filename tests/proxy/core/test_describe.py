"""The page that says who gets the next requests says what the balancer does."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.balance import RouteState
from gateway.core.describe import describe, describe_route
from gateway.core.health import SLOW_START_SECONDS, EndpointHealth
from gateway.core.path_table import PathTable
from gateway.core.route import Endpoint, Route, WeightedCluster
from gateway.core.snapshot import Snapshot

NOW = 1000.0
ROUNDS = 4000
LOCAL = WeightedCluster("r/z/g/local", (Endpoint("10.0.0.1", 1),))
FAR = WeightedCluster("r/z/g/far", (Endpoint("10.0.0.2", 1),), weight=50, remote=True)
OTHER = WeightedCluster("r/z/g/other", (Endpoint("10.0.0.3", 1),), weight=150, remote=True)
NOBODY = WeightedCluster("r/z/g/local", ())
CLUSTERS = (LOCAL, FAR, OTHER)
State = str | float
"""`well`, `ejected`, or how long ago it came back."""


class Healths:
    """What is known of the endpoints of a route; one that is well may also be unknown."""

    def __init__(self, states: dict[Endpoint, State]) -> None:
        self.known = {endpoint: EndpointHealth(endpoint) for endpoint in states}
        for endpoint, state in states.items():
            self.known[endpoint].down = state == "ejected"
            if isinstance(state, float):
                self.known[endpoint].returned = NOW - state

    def of(self, _route: Route, _cluster: WeightedCluster, endpoint: Endpoint) -> EndpointHealth:
        return self.known[endpoint]


def route(*priorities: tuple[WeightedCluster, ...], policy: str = "FailOver") -> Route:
    return Route("demo/app", 80, "Prefix /app", policy, priorities)


def percents(found: Route, healths: Healths) -> dict[str, float]:
    described = describe_route(found, healths.of, NOW)
    return {each["cluster"]: each["percent"] for priority in described["priorities"] for each in priority}


def endpoints(states: list[State]) -> dict[Endpoint, State]:
    return {cluster.endpoints[0]: state for cluster, state in zip(CLUSTERS, states, strict=True)}


@given(
    states=st.lists(
        st.sampled_from(["well", "ejected", 0.0, SLOW_START_SECONDS / 2, SLOW_START_SECONDS * 2]),
        min_size=3,
        max_size=3,
    ),
    priorities=st.sampled_from([
        ((LOCAL,), (FAR, OTHER)),
        ((LOCAL, FAR, OTHER),),
        ((FAR,), (OTHER,)),
        ((FAR, OTHER),),
    ]),
)  # fmt: skip
def test_the_percentages_are_those_of_the_requests(
    states: list[State], priorities: tuple[tuple[WeightedCluster, ...], ...]
) -> None:
    found = route(*priorities)
    healths = Healths(endpoints(states))
    shown = percents(found, healths)
    state = RouteState(found, healths.of)
    counted: Counter[str] = Counter()
    for _ in range(ROUNDS):
        pick = state.pick(NOW)
        assert pick is not None
        counted[pick.state.cluster.key] += 1
    for key, percent in shown.items():
        assert abs(100 * counted[key] / ROUNDS - percent) < 2.0, (shown, counted)


def test_nobody_serves_a_route_without_endpoints_or_weight() -> None:
    drained = WeightedCluster("r/z/g/far", (Endpoint("10.0.0.2", 1),), weight=0, remote=True)
    found = route((NOBODY,), (drained,))
    assert set(percents(found, Healths(endpoints(["well", "well", "well"]))).values()) == {0.0}
    assert describe_route(found)["leaves"] is False


def test_looking_changes_nothing() -> None:
    healths = Healths(endpoints([SLOW_START_SECONDS * 2, "well", "well"]))
    returned = healths.known[LOCAL.endpoints[0]].returned
    assert percents(route((LOCAL,)), healths) == {LOCAL.key: 100.0}
    assert healths.known[LOCAL.endpoints[0]].returned == returned


def test_a_gateway_lists_who_is_ejected() -> None:
    found = route((LOCAL, FAR))
    snapshot = Snapshot("r/z/g/local", PathTable(prefix={b"/app": found}))
    page = describe(snapshot, 7, Healths(endpoints(["well", "ejected", "well"])).of, NOW)
    assert page["ejected"] == ["10.0.0.2:1"]
    assert page["generation"] == 7
    (described,) = page["northSouth"]
    assert [each["ejected"] for each in described["priorities"][0]] == [[], ["10.0.0.2:1"]]


def test_a_route_says_how_many_requests_each_cluster_has_answered() -> None:
    found = describe_route(route((LOCAL,), (FAR, OTHER)), answered_of=lambda _: [[3], [0, 4]])
    assert [[each["answered"] for each in priority] for priority in found["priorities"]] == [[3], [0, 4]]


async def test_the_page_counts_the_answers_of_each_route_apart(net: Any, make: Any, ok: Any) -> None:
    app = await net.app(lambda _head, _body: ok())
    objects = make.service(), make.slice("127.0.0.1", port=app), make.export()
    listen, east_west, gateway = await net.gateway(*objects)
    for _ in range(3):
        assert (await net.ask(listen, "/app"))[0] == 200
    assert (await net.ask(east_west, "/", host="app.demo:3000"))[0] == 200
    page = json.loads((await net.ask(gateway.addresses["admin"][1], "/config"))[2])
    counted = {
        route["where"]: route["priorities"][0][0]["answered"]
        for route in (*page["northSouth"], *page["eastWest"])
    }
    assert counted == {"Prefix /app": 3, "app.demo:3000": 1}


async def test_the_page_tells_of_an_ejection_at_once(net: Any, make: Any, ok: Any) -> None:
    live, dead = (
        await net.app(lambda _head, _body: ok()),
        await net.server(lambda _reader, _writer: aborted()),
    )
    objects = make.imported(path="/", c1=live, c3=dead), make.policy("ActiveActive", c1=1, c3=1)
    _, port, gateway = await net.gateway(*objects)
    admin = gateway.addresses["admin"][1]

    async def shown() -> dict[str, float]:
        (found,) = json.loads((await net.ask(admin, "/config"))[2])["eastWest"]
        clusters = [cluster for priority in found["priorities"] for cluster in priority]
        return {cluster["cluster"][-2:]: cluster["percent"] for cluster in clusters if cluster["remote"]}

    before = await shown()
    assert before["c1"] == before["c3"]
    for _ in range(20):
        assert (await net.ask(port, "/", "app.demo:3000"))[0] == 200
    after = await shown()
    assert after["c3"] == 0.0
    assert after["c1"] > before["c1"]


async def aborted() -> None:
    raise ConnectionResetError


def test_a_priority_that_is_only_just_back_leaves_requests_to_the_next() -> None:
    back = Healths(endpoints([SLOW_START_SECONDS / 2, "well", "well"]))
    shown = percents(route((LOCAL,), (FAR, OTHER)), back)
    assert 0 < shown[LOCAL.key] < 100
    assert shown[FAR.key] < shown[OTHER.key] < 3.1 * shown[FAR.key]
    assert round(sum(shown.values())) == 100
    both_back = Healths(endpoints([SLOW_START_SECONDS / 2, SLOW_START_SECONDS / 2, "ejected"]))
    assert percents(route((FAR,), (LOCAL,)), both_back)[LOCAL.key] > 0


def test_when_all_are_ejected_the_first_priority_is_tried_all_the_same() -> None:
    gone = Healths(endpoints(["ejected", "ejected", "ejected"]))
    shown = percents(route((NOBODY,), (FAR, OTHER)), gone)
    assert (shown[FAR.key], shown[OTHER.key]) == (25.0, 75.0)
