"""The policy table, weights, drains and the order of retries."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.affinity import Affinity, tag
from gateway.core.balance import GRADED, RouteState
from gateway.core.health import EJECT_SECONDS, FAILURES, SLOW_START_SECONDS, EndpointHealth
from gateway.core.route import Endpoint, Route, WeightedCluster
from gateway.core.snapshot import compile_snapshot

REMOTES = {"c1": 8081, "c3": 8083}


class Harness:
    """Route states of a snapshot with health kept by endpoint."""

    def __init__(self, *objects: Any, cluster: str = "here") -> None:
        self.snapshot = compile_snapshot(objects, f"default/default/default/{cluster}").snapshot
        self.health: dict[Endpoint, EndpointHealth] = {}

    def state(self, host: bytes = b"app.demo:3000") -> RouteState:
        route = self.snapshot.hosts.find(host)
        assert route is not None
        return RouteState(route, self._health)

    def _health(self, route: Route, cluster: WeightedCluster, endpoint: Endpoint) -> EndpointHealth:
        return self.health.setdefault(endpoint, EndpointHealth(endpoint))


def picks(state: RouteState, count: int, now: float = 0.0) -> dict[str, int]:
    chosen: Counter[str] = Counter()
    for _ in range(count):
        pick = state.pick(now)
        chosen[pick.state.cluster.key.rsplit("/", 1)[1] if pick else "none"] += 1
    return dict(chosen)


TABLE: list[tuple[str, dict[str, int | None], bool, dict[str, int]]] = [
    ("Locality", {}, True, {"here": 100}),
    ("Locality", {}, False, {"none": 100}),
    ("Locality", {"c3": None}, True, {"c3": 100}),
    ("Locality", {"here": None}, True, {"here": 100}),
    ("Locality", {"gone": None}, True, {"none": 100}),
    ("FailOver", {"c1": None, "c3": None}, True, {"here": 100}),
    ("FailOver", {"c1": None, "c3": None}, False, {"c1": 50, "c3": 50}),
    ("FailOver", {"c1": 1, "c3": 3}, False, {"c1": 25, "c3": 75}),
    ("FailOver", {}, False, {"c1": 50, "c3": 50}),
    ("FailOver", {"c1": 0, "c3": 1}, False, {"c3": 100}),
    ("FailOver", {"here": 0, "c1": 1}, True, {"c1": 100}),
    ("ActiveActive", {}, False, {"c1": 50, "c3": 50}),
    ("ActiveActive", {"c1": 50, "c3": 50}, True, {"here": 50, "c1": 25, "c3": 25}),
    ("ActiveActive", {"c1": 10, "c3": 90}, False, {"c1": 10, "c3": 90}),
    ("ActiveActive", {"c1": 10, "c3": 0}, False, {"c1": 100}),
    ("ActiveActive", {"c1": 60, "here": 40}, True, {"c1": 60, "here": 40}),
    ("ActiveActive", {"here": 0}, True, {"none": 100}),
    ("ActiveActive", {"gone": 1}, True, {"here": 100}),
]


@pytest.mark.parametrize(("kind", "targets", "local", "expected"), TABLE)
def test_the_policy_table(
    make: Any, kind: str, targets: dict[str, int | None], local: bool, expected: dict[str, int]
) -> None:
    objects = [make.imported(**REMOTES), make.policy(kind, **targets)]
    if local:
        objects += [make.service(), make.slice("10.0.0.1", "10.0.0.2")]
    assert picks(Harness(*objects).state(), 100) == expected


def test_without_a_policy_a_service_stays_in_its_cluster(make: Any) -> None:
    harness = Harness(make.imported(**REMOTES))
    assert picks(harness.state(), 10) == {"none": 10}
    assert not harness.snapshot.leaves_cluster(("demo", "app"))


@pytest.mark.parametrize(
    ("kind", "targets", "leaves"),
    [
        ("Locality", {}, False),
        ("Locality", {"c1": None}, True),
        ("FailOver", {"c1": 1}, True),
        ("ActiveActive", {"c1": 0}, False),
        ("ActiveActive", {"gone": 1}, False),
        ("ActiveActive", {}, True),
    ],
)
def test_whether_a_policy_lets_traffic_out(
    make: Any, kind: str, targets: dict[str, int | None], leaves: bool
) -> None:
    harness = Harness(make.imported(**REMOTES), make.policy(kind, **targets))
    assert harness.snapshot.leaves_cluster(("demo", "app")) is leaves


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6))
def test_weights_converge_exactly_and_smoothly(weights: list[int]) -> None:
    clusters = tuple(
        WeightedCluster(f"r/z/g/c{number}", (Endpoint("127.0.0.1", number + 1),), weight, remote=True)
        for number, weight in enumerate(weights)
    )
    route = Route("demo/app", 1, "app.demo:1", "ActiveActive", (clusters,))
    state = RouteState(route, lambda _route, _share, endpoint: EndpointHealth(endpoint))
    total = sum(weights)
    if not total:
        assert state.pick(0.0) is None
        return
    counts: Counter[str] = Counter()
    for done in range(1, total + 1):
        pick = state.pick(0.0)
        assert pick is not None
        counts[pick.state.cluster.key] += 1
        for cluster in clusters:
            assert abs(counts[cluster.key] - done * cluster.weight / total) < len(clusters), "no bursts"
    assert [counts[cluster.key] for cluster in clusters] == weights


def test_pods_of_one_cluster_take_turns(make: Any) -> None:
    harness = Harness(make.service(), make.slice("10.0.0.1", "10.0.0.2", "10.0.0.3"), make.export())
    state = harness.state()
    chosen = Counter(str(pick.health.endpoint) for _ in range(30) if (pick := state.pick(0.0)))
    assert chosen == {"10.0.0.1:3000": 10, "10.0.0.2:3000": 10, "10.0.0.3:3000": 10}


def test_a_failed_local_request_goes_to_the_targets_in_order_of_weight(make: Any) -> None:
    state = Harness(
        make.service(),
        make.slice("10.0.0.1"),
        make.imported(c1=1, c2=2, c3=3),
        make.policy("FailOver", c1=10, c2=90, c3=50),
    ).state()
    tried: list[EndpointHealth] = []
    order = []
    while (pick := state.pick(0.0, tried)) is not None:
        tried.append(pick.health)
        order.append((pick.state.cluster.key.rsplit("/", 1)[1], pick.reason))
    assert order == [("here", "local"), ("c2", "retry"), ("c3", "retry"), ("c1", "retry")]


def test_an_ejected_cluster_is_left_out_until_its_time_is_over(make: Any) -> None:
    state = Harness(make.imported(**REMOTES), make.policy("ActiveActive")).state()
    first = state.pick(0.0)
    assert first is not None
    for _ in range(FAILURES):
        first.health.failed(0.0)
    other = "c3" if first.state.cluster.key.endswith("c1") else "c1"
    assert picks(state, 10, now=0.1) == {other: 10}
    back = picks(state, 100, now=EJECT_SECONDS + SLOW_START_SECONDS / 2)
    assert 20 < back[first.state.cluster.key[-2:]] < 40, "half way back it gets about half of its half"
    assert picks(state, 10, now=EJECT_SECONDS + SLOW_START_SECONDS + 0.1) == {"c1": 5, "c3": 5}


def test_a_returning_local_cluster_takes_its_requests_back_in_steps(make: Any) -> None:
    objects = make.service(), make.slice("10.0.0.1"), make.imported(**REMOTES), make.policy("FailOver")
    state = Harness(*objects).state()
    pick = state.pick(0.0)
    assert pick is not None
    pick.health.failed(0.0, certain=True)
    share = [
        picks(state, 100, now=EJECT_SECONDS + SLOW_START_SECONDS * part).get("here", 0)
        for part in (0.01, 0.5, 1.1)
    ]
    assert share[0] < 20 < share[1] < 70 < share[2] == 100


def test_a_returning_pod_gets_its_turns_back_in_steps(make: Any) -> None:
    objects = make.service(), make.slice("10.0.0.1", "10.0.0.2", "10.0.0.3"), make.export()
    state = Harness(*objects).state()
    back = state.clusters[0].endpoints[0]
    back.failed(0.0, certain=True)
    counts = []
    for second in range(3, 13):
        got = Counter(chosen(state, now=float(second)) for _ in range(300))
        counts.append(got[str(back.endpoint)])
        others = [got[str(health.endpoint)] for health in state.clusters[0].endpoints[1:]]
        assert abs(others[0] - others[1]) <= 2, "what it does not get is spread over the others"
    assert counts == sorted(counts)
    assert 10 <= counts[0] <= 30, "a tenth to a fifth of its turns at first"
    assert counts[-1] == 100, "and its whole part ten seconds later"
    assert not back.returned


def test_least_work_does_not_flood_a_returning_pod(make: Any) -> None:
    objects = (
        make.service(),
        make.slice("10.0.0.1", "10.0.0.2"),
        make.export(loadBalancer="LeastWorkLoadBalancer"),
    )
    state = Harness(*objects).state()
    back, busy = state.clusters[0].endpoints
    back.failed(0.0, certain=True)
    busy.active = 12
    assert chosen(state, now=2.0) == str(back.endpoint), "it has nothing to do"
    back.active = 1
    assert chosen(state, now=2.0) == str(busy.endpoint), "one request is enough at first"
    assert chosen(state, now=20.0) == str(back.endpoint)


def test_a_failed_probe_keeps_a_cluster_out_until_one_succeeds(make: Any) -> None:
    state = Harness(make.imported(**REMOTES), make.policy("ActiveActive")).state()
    down = state.clusters[1].endpoints[0]
    down.checked(0.0, ok=False)
    assert set(picks(state, 10, now=1.0)) == {"c1", "c3"}, "one lost health check proves nothing"
    down.checked(2.0, ok=False)
    assert set(picks(state, 10, now=1000.0)) == {"c3"}
    down.checked(1000.0, ok=True)
    assert set(picks(state, 100, now=1001.0)) == {"c1", "c3"}


def test_retries_are_limited_to_a_part_of_the_requests(make: Any) -> None:
    state = Harness(make.imported(**REMOTES), make.policy("ActiveActive")).state()
    while state.may_retry():
        pass
    for _ in range(50):
        state.pick(0.0)
    assert sum(state.may_retry() for _ in range(50)) in {9, 10}


def chosen(state: RouteState, affinity: Affinity | None = None, now: float = 0.0) -> str:
    pick = state.pick(now, (), affinity)
    assert pick is not None
    return str(pick.health.endpoint)


def test_hashing_sends_one_key_to_one_pod_and_moves_only_the_keys_of_a_lost_one(make: Any) -> None:
    objects = (
        make.service(),
        make.slice(*(f"10.0.0.{n}" for n in range(1, 6))),
        make.export(loadBalancer="HashingLoadBalancer"),
    )
    state = Harness(*objects).state()
    keys = [Affinity(key=b"%d" % n) for n in range(200)]
    before = [chosen(state, key) for key in keys]
    assert before == [chosen(state, key) for key in keys]
    assert len(set(before)) == 5
    lost = state.clusters[0].endpoints[0]
    lost.failed(0.0, certain=True)
    after = [chosen(state, key) for key in keys]
    assert all(old == new for old, new in zip(before, after, strict=True) if old != str(lost.endpoint))
    assert str(lost.endpoint) not in after


def test_least_work_goes_to_the_pod_with_the_fewest_requests(make: Any) -> None:
    objects = (
        make.service(),
        make.slice("10.0.0.1", "10.0.0.2"),
        make.export(loadBalancer="LeastWorkLoadBalancer"),
    )
    state = Harness(*objects).state()
    state.clusters[0].endpoints[0].active = 5
    assert {chosen(state) for _ in range(10)} == {"10.0.0.2:3000"}


def test_a_session_goes_back_to_its_pod_and_its_cluster(make: Any) -> None:
    objects = (
        make.service(),
        make.slice("10.0.0.1", "10.0.0.2"),
        make.imported(c1=81),
        make.policy("ActiveActive"),
    )
    state = Harness(*objects).state()
    local, remote = state.clusters
    session = Affinity(tag(local.cluster.key), tag(local.endpoints[1].name))
    assert {chosen(state, session) for _ in range(10)} == {"10.0.0.2:3000"}
    assert {chosen(state, Affinity(tag(remote.cluster.key), "whatever")) for _ in range(10)} == {
        "127.0.0.1:81"
    }
    local.endpoints[1].failed(0.0, certain=True)
    assert "10.0.0.2:3000" not in {chosen(state, session) for _ in range(10)}


def test_the_last_ones_standing_are_never_left_out(make: Any) -> None:
    state = Harness(make.imported(**REMOTES), make.policy("ActiveActive")).state()
    for cluster in state.clusters:
        for health in cluster.endpoints:
            health.failed(0.0, certain=True)
    pick = state.pick(0.1)
    assert pick is not None
    assert pick.reason == "last-resort"


def test_a_failing_local_cluster_makes_fail_over_go_elsewhere_at_once(make: Any) -> None:
    state = Harness(
        make.service(), make.slice("10.0.0.1"), make.imported(**REMOTES), make.policy("FailOver")
    ).state()
    pick = state.pick(0.0)
    assert pick is not None
    pick.health.failed(0.0, certain=True)
    assert picks(state, 10, now=0.1) == {"c1": 5, "c3": 5}


def test_a_cluster_without_endpoints_is_no_choice_and_has_nothing_to_start() -> None:
    cluster = WeightedCluster("r/z/g/c", ())
    state = RouteState(
        Route("demo/app", 1, "app.demo:1", "Locality", ((cluster,),)),
        lambda _route, _cluster, endpoint: EndpointHealth(endpoint),
    )
    assert state.pick(0.0) is None
    (only,) = state.priorities[0]
    assert only.find(0.0, (), GRADED) is None
    assert only.slow_start(0.0) == 0.0


def test_an_answer_ends_a_row_of_failures() -> None:
    health = EndpointHealth(Endpoint("10.0.0.1", 1))
    health.succeeded()
    for _ in range(FAILURES - 1):
        assert not health.failed(0.0)
    health.succeeded()
    assert not health.failed(0.0), "the row begins again"


def test_a_cluster_starts_as_far_as_its_endpoint_that_is_back_longest() -> None:
    gone, new, old = (EndpointHealth(Endpoint("10.0.0.1", port)) for port in (1, 2, 3))
    gone.down, new.returned, old.returned = True, 9.0, 5.0
    cluster = WeightedCluster("r/z/g/c", tuple(each.endpoint for each in (gone, new, old)))
    healths = {each.endpoint: each for each in (gone, new, old)}
    state = RouteState(
        Route("demo/app", 1, "app.demo:1", "Locality", ((cluster,),)),
        lambda _route, _cluster, endpoint: healths[endpoint],
    )
    assert state.priorities[0][0].slow_start(10.0) == old.slow_start(10.0) > new.slow_start(10.0)


def test_a_good_health_check_of_an_endpoint_that_is_well_changes_nothing() -> None:
    health = EndpointHealth(Endpoint("10.0.0.1", 1))
    health.checked(5.0, ok=False)
    health.checked(6.0, ok=True)
    assert (health.misses, health.returned, health.ejections) == (0, 0.0, 0)
