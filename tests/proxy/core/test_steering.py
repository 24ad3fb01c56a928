"""Canaries: who gets ordinary requests, and who those that match, within a cluster and across clusters."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from math import gcd
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.affinity import Affinity, tag
from gateway.core.balance import RouteState
from gateway.core.describe import describe
from gateway.core.header_match import BACKEND_REFS, MATCH
from gateway.core.health import EndpointHealth
from gateway.core.identity import BY_NAME, BY_PATH, PeersKeys
from gateway.core.route import Endpoint, Route, WeightedCluster
from gateway.core.snapshot import Compiled, Snapshot, compile_snapshot
from gateway.core.timeouts import TIMEOUTS

CANARY = {"headers": [{"name": "x-canary", "value": "true"}]}
TESTER = {"headers": [{"name": "x-tester", "value": "a.*", "type": "RegularExpression"}]}
YES = {b"x-canary": b"true"}
KEYS = PeersKeys((b"1" * 32,))
HOST = b"app.demo:3000"


def said(raw: Any, name: str, value: object) -> Any:
    text = value if isinstance(value, str) else json.dumps(value)
    raw["metadata"].setdefault("annotations", {})[name] = text
    return raw


def key(name: str) -> str:
    return f"default/default/default/{name}"


def matching(policy: Any, **matches: object) -> Any:
    return said(policy, MATCH, {key(name): match for name, match in matches.items()})


def cluster(make: Any, *refs: object, stable: bool = True, canary: bool = True) -> list[Any]:
    """Services app and canary with a pod each, and an export of app."""
    objects = [make.service(), make.service("canary")]
    objects += [make.slice("10.0.0.1")] if stable else []
    objects += [make.slice("10.0.0.2", name="canary")] if canary else []
    return [*objects, said(make.export(), BACKEND_REFS, list(refs)) if refs else make.export()]


def compiled(*objects: Any, front_door: bool = False, peers: PeersKeys = KEYS) -> Compiled:
    return compile_snapshot(objects, key("here"), front_door, peers=peers)


def snapshot(*objects: Any, **options: Any) -> Snapshot:
    found = compiled(*objects, **options)
    assert not found.problems
    return found.snapshot


def reasons(found: Compiled) -> list[tuple[str, str]]:
    return [(problem.kind, problem.reason) for problem in found.problems]


class Picker:
    """Picks from a route and its variants, as requests with these fields would be brought somewhere."""

    def __init__(self, route: Route | None) -> None:
        assert route is not None
        self.route = route
        self.health: dict[Endpoint, EndpointHealth] = {}
        self.states: dict[Route, RouteState] = {}

    def state(self, fields: Mapping[bytes, bytes]) -> RouteState:
        route = self.route.of(fields)
        if route not in self.states:
            self.states[route] = RouteState(route, self._health)
        return self.states[route]

    def _health(self, _route: Route, _cluster: WeightedCluster, endpoint: Endpoint) -> EndpointHealth:
        return self.health.setdefault(endpoint, EndpointHealth(endpoint))

    def counts(self, number: int, fields: Mapping[bytes, bytes] | None = None) -> dict[str, int]:
        counted: Counter[str] = Counter()
        for _ in range(number):
            pick = self.state(fields or {}).pick(0.0)
            place = pick.state.cluster if pick else None
            counted["none" if place is None else place.backend or place.key.rpartition("/")[2]] += 1
        return dict(counted)

    def reason(self, fields: Mapping[bytes, bytes], affinity: Affinity | None = None) -> str:
        pick = self.state(fields).pick(0.0, affinity=affinity)
        assert pick is not None
        return pick.reason

    def break_down(self, *hosts: str) -> None:
        for route in [self.route, *self.route.variants]:
            RouteState(route, self._health)
        for endpoint, health in self.health.items():
            if endpoint.host in hosts or str(endpoint.port) in hosts:
                for _ in range(3):
                    health.failed(0.0, certain=True)


APP, BESIDE = {"name": "app", "weight": 95}, {"name": "canary", "weight": 5}


# Within a cluster


def test_two_services_share_an_export_exactly_however_it_is_asked_for(make: Any) -> None:
    found = snapshot(*cluster(make, APP, BESIDE), make.imported(c1=81))
    by_name, by_path = (
        found.identities[KEYS.sign(key("here"), "demo/app", 3000, how)] for how in (BY_NAME, BY_PATH)
    )
    for route in (found.paths.find(b"/app"), found.hosts.find(HOST), by_name, by_path):
        assert Picker(route).counts(1000) == {"app": 950, "canary": 50}


def test_a_thousandth_is_a_thousandth(make: Any) -> None:
    refs = {"name": "app", "weight": 999.0}, {"name": "canary"}
    assert Picker(snapshot(*cluster(make, *refs)).paths.find(b"/app")).counts(5000) == {
        "app": 4995,
        "canary": 5,
    }


def test_a_canary_by_header_gets_what_matches_and_nothing_else(make: Any) -> None:
    refs = APP, {"name": "canary", "weight": 0, "match": CANARY}
    pick = Picker(snapshot(*cluster(make, *refs)).paths.find(b"/app"))
    assert pick.counts(100) == {"app": 100}
    assert pick.counts(100, {b"x-canary": b"false"}) == {"app": 100}
    assert pick.counts(100, YES) == {"canary": 100}
    assert pick.reason(YES) == "match"
    assert pick.reason({}) == "weight"


def test_a_matched_canary_that_cannot_serve_leaves_it_to_the_others(make: Any) -> None:
    refs = APP, {**BESIDE, "match": CANARY}
    pick = Picker(snapshot(*cluster(make, *refs)).paths.find(b"/app"))
    pick.break_down("10.0.0.2")
    assert pick.counts(20, YES) == {"app": 20}
    assert pick.reason(YES) == "fail-over"
    nobody = Picker(snapshot(*cluster(make, *refs, canary=False)).paths.find(b"/app"))
    assert nobody.counts(20, YES) == nobody.counts(20) == {"app": 20}


def test_backends_with_one_match_share_what_matches(make: Any) -> None:
    refs = {"name": "app", "weight": 1}, {"name": "canary", "weight": 3, "match": CANARY}
    two = [make.service("next"), make.slice("10.0.0.3", name="next")]
    third = {"name": "next", "weight": 1, "match": CANARY}
    pick = Picker(snapshot(*cluster(make, *refs, third), *two).paths.find(b"/app"))
    assert pick.counts(40, YES) == {"canary": 30, "next": 10}
    assert pick.counts(50) == {"app": 10, "canary": 30, "next": 10}


def test_an_export_need_not_lead_to_its_own_service(make: Any) -> None:
    found = snapshot(*cluster(make, {"name": "canary"}), make.imported(c1=81))
    assert Picker(found.paths.find(b"/app")).counts(10) == {"canary": 10}
    assert Picker(found.hosts.find(HOST)).counts(10) == {"canary": 10}
    assert found.needs_gateways(("demo", "app")), "callers by name reach it through gateways alone"
    assert not found.leaves_cluster(("demo", "app"))
    assert not snapshot(*cluster(make), make.imported(c1=81)).needs_gateways(("demo", "app"))


def test_a_backend_that_is_not_there_is_named_and_its_part_goes_to_the_others(make: Any) -> None:
    for gone in (
        {"name": "gone", "weight": 5},
        {"name": "other", "weight": 5},
        {"name": "elsewhere", "weight": 5},
    ):
        others = [make.service("other", ports={80: "x"}), make.service("elsewhere", type="ExternalName")]
        found = compiled(*cluster(make, APP, gone), *others)
        assert reasons(found) == [("ServiceExport", "BackendNotFound")]
        assert f"there is no Service demo/{gone['name']} with a port 3000" in found.problems[0].message
        assert Picker(found.snapshot.paths.find(b"/app")).counts(10) == {"app": 10}


def test_ports_that_are_not_exported_lead_to_the_services_own_pods(make: Any) -> None:
    objects = cluster(make, {"name": "canary"})
    objects[0] = make.service(ports={3000: "http", 4000: "admin"})
    found = snapshot(*objects, make.slice("10.0.0.1", port=4000, label="admin"))
    assert Picker(found.hosts.find(b"app.demo:4000")).counts(3) == {"here": 3}


@pytest.mark.parametrize(
    ("refs", "named"),
    [
        ("{", "is not JSON"),
        ({}, "give a list of 1 to 16"),
        ([], "give a list of 1 to 16"),
        ([APP] * 17, "give a list of 1 to 16"),
        (["app"], "[0] is 'app': give a mapping"),
        ([{"name": "app", "wait": 1}], "has 'wait', which has no meaning"),
        ([{"name": "App"}], "[0].name is 'App'"),
        ([{"weight": 1}], "[0].name is None"),
        ([{"name": "app", "weight": -1}], "weight is -1: give a whole number from 0 to 1000000"),
        ([{"name": "app", "weight": True}], "weight is True"),
        ([{"name": "app", "weight": 0.5}], "weight is 0.5"),
        ([{"name": "app", "weight": 1_000_001}], "weight is 1000001"),
        ([APP, APP], "names one Service twice"),
        ([{"name": "app", "weight": 0}], "gives no Service a weight"),
        ([{"name": "app", "match": {}}], "[0].match.headers is None"),
    ],
)
def test_faulty_backends_are_named_and_the_export_leads_to_its_own_service(
    make: Any, refs: object, named: str
) -> None:
    objects = cluster(make)
    found = compiled(*objects[:-1], said(objects[-1], BACKEND_REFS, refs))
    assert [problem.kind for problem in found.problems] == ["ServiceExport"]
    assert named in found.problems[0].message
    assert Picker(found.snapshot.paths.find(b"/app")).counts(3) == {"here": 3}


def test_dapr_picks_the_pods_of_an_export_that_goes_through_it(make: Any) -> None:
    objects = cluster(make, APP, BESIDE)
    said(objects[-1], "multicluster.flomesh.io/dapr-invoke", "sidecar")
    said(objects[-1], "multicluster.flomesh.io/dapr-app-id", "app")
    assert ("ServiceExport", "InvalidBackendRefs") in reasons(compiled(*objects))


def test_the_condition_says_who_shares_the_requests(make: Any) -> None:
    (export,) = compiled(*cluster(make, APP, {**BESIDE, "match": CANARY})).exports
    assert export.notes == ("its requests go to app 95, canary 5 (x-canary: true)",)


# Across clusters


def test_a_policy_sends_what_matches_to_its_target_first(make: Any) -> None:
    """The page's own example: 95 to 5 by weight, and all that is marked to cluster c2."""
    policy = matching(make.policy("ActiveActive", c1=95, c2=5), c2=CANARY)
    found = snapshot(make.imported(c1=81, c2=82), policy, front_door=True)
    for route in (found.hosts.find(HOST), found.paths.find(b"/app")):
        pick = Picker(route)
        assert pick.counts(1000) == {"c1": 950, "c2": 50}
        assert pick.counts(100, YES) == {"c2": 100}
        pick.break_down("82")
        assert pick.counts(100, YES) == {"c1": 100}
        assert pick.reason(YES) == "fail-over"


@pytest.mark.parametrize("kind", ["FailOver", "ActiveActive"])
@pytest.mark.parametrize("weight", [0, 5])
def test_callers_with_pods_of_their_own_leave_them_when_they_match(make: Any, kind: str, weight: int) -> None:
    objects = [make.service(), make.slice("10.0.0.1"), make.export(), make.imported(c1=81)]
    found = snapshot(*objects, matching(make.policy(kind, c1=weight, here=95), c1=CANARY))
    pick = Picker(found.hosts.find(HOST))
    ordinary = {"here": 95, "c1": 5} if kind == "ActiveActive" and weight else {"here": 100}
    assert pick.counts(100) == ordinary
    assert pick.counts(100, YES) == {"c1": 100}
    assert found.leaves_cluster(("demo", "app"))
    pick.break_down("81")
    assert pick.counts(10, YES) == {"here": 10}


def test_targets_with_one_match_share_and_the_first_match_counts(make: Any) -> None:
    policy = make.policy("ActiveActive", c1=1, c2=3, c3=96)
    matching(policy, c3=TESTER, c2=CANARY, c1=CANARY)
    pick = Picker(snapshot(make.imported(c1=81, c2=82, c3=83), policy).hosts.find(HOST))
    assert pick.counts(400, YES) == {"c1": 100, "c2": 300}
    assert pick.counts(10, {b"x-tester": b"anna"}) == {"c3": 10}
    both = pick.counts(400, {**YES, b"x-tester": b"anna"})
    assert both == {"c1": 100, "c2": 300}, "the first of spec.targets has it"


def test_a_match_with_a_cluster_that_exports_nothing_waits_for_it(make: Any) -> None:
    policy = matching(make.policy("ActiveActive", c1=1, c9=1), c9=CANARY)
    found = compiled(make.imported(c1=81), policy)
    assert reasons(found) == [("GlobalTrafficPolicy", "UnknownTarget")]
    assert Picker(found.snapshot.hosts.find(HOST)).counts(5, YES) == {"c1": 5}


@pytest.mark.parametrize(
    ("kind", "matches", "named"),
    [
        ("ActiveActive", "{", "is not JSON"),
        ("ActiveActive", [], "give a mapping from targets to matches"),
        ("ActiveActive", {key("c3"): CANARY}, "is no target: spec.targets has default/default/default/c1"),
        ("ActiveActive", {key("c1"): {}}, "default/c1.headers is None"),
        ("Locality", {key("c1"): CANARY}, "does nothing with Locality"),
    ],
)
def test_a_faulty_match_is_named_and_the_weights_hold(
    make: Any, kind: str, matches: object, named: str
) -> None:
    found = compiled(make.imported(c1=81), said(make.policy(kind, c1=1), MATCH, matches))
    assert reasons(found) == [("GlobalTrafficPolicy", "InvalidMatch")]
    assert named in found.problems[0].message
    assert Picker(found.snapshot.hosts.find(HOST)).counts(5, YES) == {"c1": 5}
    every = said(make.policy("ActiveActive"), MATCH, {key("c1"): CANARY})
    assert "spec.targets has none" in compiled(make.imported(c1=81), every).problems[0].message


def test_a_session_gives_way_to_a_match(make: Any) -> None:
    policy = matching(make.policy("ActiveActive", c1=95, c2=5), c2=CANARY)
    pick = Picker(snapshot(make.imported(c1=81, c2=82), policy).hosts.find(HOST))
    affinity = Affinity(tag(key("c1")), "")
    assert pick.reason({}, affinity) == "session"
    assert pick.reason(YES, affinity) == "match"


# Both


def test_the_backends_of_a_cluster_share_what_the_policy_gives_it(make: Any) -> None:
    policy = matching(make.policy("ActiveActive", here=60, c1=40), c1=TESTER)
    refs = {"name": "app", "weight": 9}, {"name": "canary", "weight": 1, "match": CANARY}
    found = snapshot(*cluster(make, *refs), make.imported(c1=81), policy)
    pick = Picker(found.hosts.find(HOST))
    assert pick.counts(1000) == {"app": 540, "canary": 60, "c1": 400}
    assert pick.counts(1000, YES) == {"canary": 600, "c1": 400}
    assert pick.counts(10, {b"x-tester": b"a"}) == {"c1": 10}
    pick.break_down("81")
    assert pick.counts(10, {b"x-tester": b"a", **YES}) == {"canary": 10}, "a match within a match"
    pick.break_down("10.0.0.2")
    assert pick.counts(10, YES) == {"app": 10}


def test_a_cluster_that_is_drained_is_so_with_all_its_backends(make: Any) -> None:
    policy = make.policy("ActiveActive", here=0, c1=1)
    refs = APP, {**BESIDE, "match": CANARY}
    pick = Picker(snapshot(*cluster(make, *refs), make.imported(c1=81), policy).hosts.find(HOST))
    assert pick.counts(5) == pick.counts(5, YES) == {"c1": 5}
    pick.break_down("81")
    assert pick.counts(5, YES) == {"c1": 5}, "the last resort, and not who is drained"


def test_backends_without_pods_leave_the_shares_of_clusters(make: Any) -> None:
    policy = make.policy("ActiveActive", here=50, c1=50)
    one = snapshot(*cluster(make, APP, BESIDE, canary=False), make.imported(c1=81), policy)
    assert Picker(one.hosts.find(HOST)).counts(10) == {"app": 5, "c1": 5}
    none = snapshot(*cluster(make, APP, BESIDE, canary=False, stable=False), make.imported(c1=81), policy)
    assert Picker(none.hosts.find(HOST)).counts(10) == {"c1": 10}


def test_the_front_door_has_the_backends_of_its_own_cluster(make: Any) -> None:
    policy = make.policy("ActiveActive", here=1, c1=1)
    objects = [*cluster(make, APP, BESIDE), make.imported(c1=81), policy]
    found = snapshot(*objects, front_door=True)
    assert Picker(found.paths.find(b"/app")).counts(200) == {"app": 95, "canary": 5, "c1": 100}


WEIGHTS = st.integers(min_value=0, max_value=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    own=st.lists(WEIGHTS, min_size=2, max_size=3).filter(any),
    local=WEIGHTS,
    remotes=st.lists(WEIGHTS, min_size=1, max_size=2),
    ready=st.lists(st.booleans(), min_size=3, max_size=3),
)
def test_shares_are_exact_whatever_the_weights(
    make: Any, own: list[int], local: int, remotes: list[int], ready: list[bool]
) -> None:
    names = ["app", "second", "third"][: len(own)]
    objects = [make.service(name) for name in names]
    objects += [make.slice(f"10.0.0.{n}", name=name) for n, name in enumerate(names, 1) if ready[n - 1]]
    refs = [{"name": name, "weight": weight} for name, weight in zip(names, own, strict=True)]
    others = {f"c{number}": weight for number, weight in enumerate(remotes, 1)}
    imported = make.imported(**{name: 80 + n for n, name in enumerate(others, 1)})
    policy = make.policy("ActiveActive", here=local, **others)
    found = snapshot(*objects, said(make.export(), BACKEND_REFS, refs), imported, policy)
    alive = {
        name: weight for (name, weight), up in zip(zip(names, own, strict=True), ready, strict=False) if up
    }
    whole = sum(alive.values())
    wanted = {name: local * weight for name, weight in alive.items() if whole}
    wanted |= {name: weight * (whole or 1) for name, weight in others.items()}
    wanted = {name: weight for name, weight in wanted.items() if weight}
    common = gcd(*wanted.values()) or 1
    wanted = {name: weight // common for name, weight in wanted.items()}
    number = sum(wanted.values())
    assert Picker(found.hosts.find(HOST)).counts(number or 3) == (wanted or {"none": 3})


# What is shown


def test_the_page_says_who_gets_what(make: Any) -> None:
    policy = matching(make.policy("ActiveActive", here=50, c1=50), c1=TESTER)
    refs = {"name": "app", "weight": 999}, {"name": "canary", "weight": 1, "match": CANARY}
    found = snapshot(*cluster(make, *refs), make.imported(c1=81), policy)
    (route,) = describe(found, 1, lambda *_: None, 0.0)["eastWest"]

    def shares(shown: Any) -> dict[str, float]:
        listed = [one for priority in shown["priorities"] for one in priority]
        return {one["backend"] or one["cluster"][-2:]: one["percent"] for one in listed if one["percent"]}

    assert shares(route) == {"app": 49.95, "canary": 0.05, "c1": 50}
    assert [(shown["headers"], shares(shown)) for shown in route["matches"]] == [
        ("x-tester ~ a.*", {"c1": 100}),
        ("x-tester ~ a.*, x-canary: true", {"c1": 100}),
        ("x-canary: true", {"canary": 50, "c1": 50}),
    ]
    (path,) = describe(found, 1, lambda *_: None, 0.0)["northSouth"]
    assert shares(path) == {"app": 99.9, "canary": 0.1}


def test_variants_are_kept_with_their_route(make: Any) -> None:
    """Their rotation and their counts go on when something else changes."""
    policy = matching(make.policy("ActiveActive", here=50, c1=50), c1=TESTER)
    objects = [*cluster(make, APP, {**BESIDE, "match": CANARY}), make.imported(c1=81), policy]
    objects[-3]["spec"]["pathRewrite"] = {"from": "^/app/?", "to": "/"}
    before, again = snapshot(*objects), snapshot(*objects)
    routes = [*before.path_routes(), *before.host_routes(), *before.identities.values()]
    variants = [variant for route in routes for variant in route.variants]
    assert len(variants) >= 4
    variants += [inner for variant in variants for inner in variant.variants]
    assert all(again.holds(variant) for variant in variants)
    del objects[-3]["metadata"]["annotations"], policy["metadata"]["annotations"]
    after = snapshot(*objects)
    assert not any(after.holds(variant) for variant in variants)
    assert after.hosts.find(HOST) is not None


def test_a_service_without_matches_has_nothing_to_look_for(make: Any) -> None:
    found = snapshot(*cluster(make, APP, BESIDE), make.imported(c1=81), make.policy("ActiveActive", c1=1))
    assert not any(route.variants for route in [*found.path_routes(), *found.host_routes()])


SOME = st.none() | st.booleans() | st.integers(-2, 3) | st.floats() | st.sampled_from(["app", "Exact", "(a"])
NAMES = st.sampled_from(["headers", "name", "value", "type", "weight", "match", "request", key("c1")])
JUNK = st.recursive(
    SOME, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner), max_leaves=9
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.sampled_from([BACKEND_REFS, MATCH, TIMEOUTS]), junk=JUNK)
def test_no_annotation_costs_a_good_route(make: Any, where: str, junk: object) -> None:
    imported, policy = make.imported(c1=81), make.policy("ActiveActive", c1=1, here=1)
    objects = [*cluster(make), imported, policy]
    for raw in (objects[-3], imported, policy):
        said(raw, where, junk)
    found = compiled(*objects, front_door=True).snapshot
    assert sum(Picker(found.hosts.find(HOST)).counts(4).values()) == 4
    assert Picker(found.paths.find(b"/app")).counts(2)
