"""Whose a path is: the older claim has it, and nothing of another namespace nests with it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.claims import Claims, Grant, Match
from gateway.core.exports import evaluate_exports, named
from gateway.core.objects import Key
from gateway.core.services import read_service
from gateway.core.snapshot import compile_snapshot

SHOP, EVIL, OTHER = ("victim", "shop"), ("evil", "evil"), ("victim", "other")


def prefix(path: str) -> Match:
    return False, path.encode()


def exact(path: str) -> Match:
    return True, path.encode()


@pytest.mark.parametrize(
    ("older", "younger"),
    [
        (prefix("/shop"), prefix("/shop")),
        (prefix("/shop"), prefix("/shop/login")),
        (prefix("/shop"), prefix("/shop/login/now")),
        (prefix("/shop"), exact("/shop")),
        (prefix("/shop"), exact("/shop/")),
        (prefix("/shop"), exact("/shop/login")),
        (prefix("/shop/login"), prefix("/shop")),
        (exact("/shop/login"), prefix("/shop")),
        (exact("/shop"), prefix("/shop")),
        (exact("/shop"), exact("/shop")),
        (prefix(""), prefix("")),
    ],
)
def test_another_namespace_does_not_nest(older: Match, younger: Match) -> None:
    claims = Claims()
    assert claims.take(older, SHOP) is None
    assert claims.take(younger, EVIL) == SHOP
    assert claims.owner(older) == SHOP
    assert claims.losers == {SHOP: {EVIL}}


@pytest.mark.parametrize(
    ("older", "younger"),
    [
        (prefix("/shop"), prefix("/shopping")),
        (prefix("/shop"), prefix("/sho")),
        (prefix("/shop"), exact("/shopping")),
        (exact("/shop"), exact("/shop/login")),
        (exact("/shop"), prefix("/shop/login")),
        (prefix(""), prefix("/shop")),
        (prefix("/shop"), prefix("")),
        (prefix("/shop.x"), prefix("/shop")),
    ],
)
def test_paths_beside_each_other(older: Match, younger: Match) -> None:
    claims = Claims()
    assert claims.take(older, SHOP) is None
    assert claims.take(younger, EVIL) is None


def test_a_namespace_nests_its_own_paths() -> None:
    claims = Claims()
    for match, owner in ((prefix("/shop"), SHOP), (prefix("/shop/login"), OTHER), (exact("/shop/x"), OTHER)):
        assert claims.take(match, owner) is None
    assert claims.take(prefix("/shop/login"), SHOP) == OTHER, "one path has one owner all the same"
    assert claims.take(prefix("/a/b"), SHOP) is None
    assert claims.take(exact("/a/b"), OTHER) is None
    assert claims.take(prefix("/a"), OTHER) is None


def test_delegated_paths() -> None:
    one = "default/default/default/one"
    claims = Claims([Grant(b"", {"web"}), Grant(b"/team", {"a", "b"}, {one}), Grant(b"/team/api", {"api"})])
    assert claims.refusal(b"/free", "evil", one) == ""
    assert claims.refusal(b"", "web", one) == ""
    assert claims.refusal(b"", "evil", one) == "/ is delegated to web"
    assert claims.refusal(b"/team/x", "a", one) == ""
    assert claims.refusal(b"/team/x", "a", "x/y/z/two") == f"/team is delegated to a, b in {one}"
    assert claims.refusal(b"/team/api/v1", "api", "x/y/z/two") == ""
    assert claims.refusal(b"/team/api", "a", one) == "/team/api is delegated to api"
    assert Claims().refusal(b"", "web", one) == "/ is only whose the settings delegate it to (paths)"
    assert claims.take(prefix("/team"), ("a", "app")) is None
    assert claims.take(prefix("/team/api"), ("api", "app")) is None, "cut out on purpose"
    assert claims.take(prefix("/team/x"), ("b", "app")) == ("a", "app")
    younger = Claims([Grant(b"/team/api", {"api"})])
    assert younger.take(exact("/team/api/v1"), ("api", "app")) is None
    assert younger.take(prefix("/team"), ("a", "app")) is None


def exported(make: Any, key: Key, path: str, created: str, kind: str = "Prefix") -> list[Any]:
    namespace, name = key
    names = {"namespace": namespace, "name": name}
    export = make.export(path=path, kind=kind)
    return [
        {**export, "metadata": {**names, "creationTimestamp": created}},
        {**make.service(), "metadata": names},
        {
            **make.slice("10.0.0.1"),
            "metadata": {
                "namespace": namespace,
                "name": f"{name}-1",
                "labels": {"kubernetes.io/service-name": name},
            },
        },
    ]


def test_a_younger_export_takes_no_traffic_of_another_namespace(make: Any) -> None:
    """Prefix /shop of one team, and /shop/login of another, later: in one cluster."""
    objects = [
        *exported(make, ("victim", "shop"), "/shop", "2026-01-01T00:00:00Z"),
        *exported(make, ("evil", "evil"), "/shop/login", "2026-01-02T00:00:00Z"),
        *exported(make, ("evil", "exact"), "/shop/pay", "2026-01-02T00:00:00Z", "Exact"),
    ]
    compiled = compile_snapshot(objects, "a/b/c/here")
    for path in (b"/shop", b"/shop/login", b"/shop/pay"):
        route = compiled.snapshot.paths.find(path)
        assert route is not None
        assert route.service == "victim/shop"
    assert {(p.namespace, p.name, p.reason) for p in compiled.problems} == {
        ("evil", "evil", "PathConflict"),
        ("evil", "exact", "PathConflict"),
    }
    told = {found.key: found.notes for found in compiled.exports}
    assert told["victim", "shop"] == (
        "paths of it, or around or inside them, are claimed in vain by evil/evil, evil/exact",
    )


def test_many_losers_are_named_in_short(make: Any) -> None:
    keys = [("evil", f"e{number}") for number in range(6)]
    assert named(keys) == "evil/e0, evil/e1, evil/e2 and 3 more"
    assert named(keys[:3]) == "evil/e0, evil/e1, evil/e2"
    service = read_service(make.service())
    exports = {key: make.export(path="/a") for key in keys}
    found = evaluate_exports(exports, dict.fromkeys(keys, service))
    assert found[keys[0]].notes[0].endswith("evil/e1, evil/e2, evil/e3 and 2 more")


def imported(make: Any, namespace: str, name: str, path: str, **changes: Any) -> Any:
    target = {"host": "h", "ip": "10.0.0.9", "port": 80, "path": path}
    endpoint = {"clusterKey": "a/b/c/far", "target": target, **changes}
    names = {"namespace": namespace, "name": name}
    return {
        "kind": "ServiceImport",
        "metadata": names,
        "spec": {"ports": [{"port": 3000, "endpoints": [endpoint]}]},
    }


def test_the_front_door_serves_whom_the_hub_gave_the_path(make: Any) -> None:
    own = exported(make, ("evil", "evil"), "/shop/login", "2026-01-01T00:00:00Z")
    theirs = imported(make, "victim", "shop", "/shop")
    compiled = compile_snapshot([*own, theirs], "a/b/c/home", front_door=True)
    route = compiled.snapshot.paths.find(b"/shop/login")
    assert route is not None
    assert route.service == "victim/shop", "an export of the control plane overrides nobody"
    assert [problem.reason for problem in compiled.problems] == ["PathConflict"]
    lost = imported(make, "victim", "shop", "/shop", frontDoor=False)
    compiled = compile_snapshot([*own, lost], "a/b/c/home", front_door=True)
    assert compiled.problems == ()
    assert compiled.snapshot.paths.find(b"/shop") is None
    route = compiled.snapshot.paths.find(b"/shop/login")
    assert route is not None
    assert route.service == "evil/evil"
    assert compiled.snapshot.imported["victim", "shop"], "it is called by name all the same"


def test_an_exporter_that_lost_its_path_is_no_part_of_the_front_door(make: Any) -> None:
    both = imported(make, "victim", "shop", "/shop")
    second = imported(make, "victim", "shop", "/shop", clusterKey="a/b/c/other", frontDoor=False)
    (port,) = both["spec"]["ports"]
    port["endpoints"] += second["spec"]["ports"][0]["endpoints"]
    route = compile_snapshot([both], "a/b/c/home", front_door=True).snapshot.paths.find(b"/shop")
    assert route is not None
    assert [cluster.key for priority in route.priorities for cluster in priority if cluster.remote] == [
        "a/b/c/far"
    ]


PATHS = st.lists(st.sampled_from(["a", "b", ""]), max_size=4).map(
    lambda parts: "".join(f"/{one}" for one in parts)
)
CLAIMED = st.tuples(st.builds(lambda kind, path: (kind, path.encode()), st.booleans(), PATHS),
                    st.sampled_from([SHOP, EVIL, OTHER]))  # fmt: skip


def in_the_way(one: tuple[Match, Key], other: tuple[Match, Key]) -> bool:
    """Of two namespaces: one path, or one inside the other's Prefix; of one: the same rule."""
    (exact_one, path), owner = one
    (exact_other, beside), claimant = other
    if one[0] == other[0]:
        return True
    if owner[0] == claimant[0]:
        return False
    inside = bool(path) and not exact_one and (beside == path or beside.startswith(path + b"/"))
    around = bool(beside) and not exact_other and (path == beside or path.startswith(beside + b"/"))
    return inside or around


@given(st.lists(CLAIMED, max_size=12))
def test_claims_are_taken_as_a_slow_reading_takes_them(claimed: list[tuple[Match, Key]]) -> None:
    claims = Claims()
    kept: list[tuple[Match, Key]] = []
    for one in claimed:
        refused = any(in_the_way(before, one) for before in kept)
        assert (claims.take(*one) is not None) == refused
        kept += [] if refused else [one]


def test_prefixes_around_thousands_of_own_paths_cost_no_look_at_each() -> None:
    claims, deep = Claims(), "/a" * 200
    for number in range(20_000):
        claims.add(exact(f"{deep}/{number}"), EVIL)
    started = time.thread_time()
    for depth in range(200, 0, -1):
        assert claims.take(prefix("/a" * depth), EVIL) is None
    assert claims.take(prefix("/a/b"), SHOP) == EVIL
    assert time.thread_time() - started < 1, "of this thread's own time: 0.02 s, and four without counting"
