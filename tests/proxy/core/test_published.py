"""Exports that are served between clusters alone: by name to other gateways, at no path to anybody."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.dates import claims_of
from gateway.core.describe import describe
from gateway.core.export_hosts import HOST
from gateway.core.identity import BY_NAME, BY_PATH, PeersKeys
from gateway.core.published import PUBLISHED
from gateway.core.snapshot import Compiled, compile_snapshot

HERE = "default/default/default/here"
KEYS = PeersKeys((b"1" * 32,))


def export(make: Any, said: object = "false", path: str = "/inside", **more: Any) -> list[dict[str, Any]]:
    """Service `inside` with a pod, and its export."""
    raw = make.export("inside", path, **more)
    raw["metadata"]["annotations"] = {PUBLISHED: said}
    return [make.service("inside"), make.slice("10.0.0.1", name="inside"), raw]


def compiled(*objects: dict[str, Any], front_door: bool = False) -> Compiled:
    return compile_snapshot(objects, HERE, front_door, peers=KEYS)


@pytest.mark.parametrize("front_door", [False, True])
def test_it_is_served_by_name_and_at_no_path(make: Any, front_door: bool) -> None:
    found = compiled(*export(make), front_door=front_door)
    snapshot = found.snapshot
    assert found.problems == ()
    for path in (b"/inside", b"/inside/x", b"/"):
        assert snapshot.paths_of(b"any.example.com").find(path) is None
    route = snapshot.identified(KEYS.sign(HERE, "demo/inside", 3000, BY_NAME))
    assert route is not None
    assert [str(endpoint) for endpoint in route.clusters[0].endpoints] == ["10.0.0.1:3000"]
    assert snapshot.identified(KEYS.sign(HERE, "demo/inside", 3000, BY_PATH)) is None, "nor for a front door"
    assert snapshot.holds(route)
    (note,) = found.exports[0].notes
    assert note.startswith("published between clusters alone")
    assert [port.number for port in found.exports[0].ports] == [3000], "other clusters import it"


def test_a_rewrite_sees_the_path_that_nobody_asks_for(make: Any) -> None:
    """As it does in calls by name of what is published."""
    snapshot = compiled(*export(make, pathRewrite={"from": "^/inside/?", "to": "/"})).snapshot
    route = snapshot.identified(KEYS.sign(HERE, "demo/inside", 3000, BY_NAME))
    assert route is not None
    assert route.clusters[0].target(b"/x") == b"/x"


def test_it_is_in_nobodys_way(make: Any) -> None:
    other = [make.service("other"), make.slice("10.0.0.2", name="other"), make.export("other", "/inside")]
    other[-1]["metadata"]["creationTimestamp"] = "2026-02-01T00:00:00Z"
    found = compiled(*export(make), *other)
    assert found.problems == ()
    route = found.snapshot.paths_of(b"a").find(b"/inside")
    assert route is not None
    assert route.service == "demo/other"
    assert list(claims_of(export(make)[-1])) == [], "a path is as old as its publication"
    assert list(claims_of(export(make, "true")[-1])) == ["/inside"]


def test_a_host_does_nothing_then(make: Any) -> None:
    objects = export(make)
    objects[-1]["metadata"]["annotations"][HOST] = "shop.example.com"
    snapshot = compiled(*objects).snapshot
    assert not snapshot.published
    assert snapshot.paths_of(b"shop.example.com").find(b"/inside") is None


@pytest.mark.parametrize("said", ["no", "False", "", True, ["false"]])
def test_what_is_neither_true_nor_false_keeps_it_inside_and_is_told(make: Any, said: object) -> None:
    found = compiled(*export(make, said))
    assert [problem.reason for problem in found.problems] == ["InvalidPublished"]
    assert found.snapshot.paths_of(b"a").find(b"/inside") is None
    assert found.snapshot.identified(KEYS.sign(HERE, "demo/inside", 3000, BY_NAME)) is not None


def test_true_is_as_nothing(make: Any) -> None:
    found = compiled(*export(make, "true"))
    assert found.problems == ()
    assert found.snapshot.paths_of(b"a").find(b"/inside") is not None
    assert found.snapshot.unpublished == ()


def test_the_page_tells_of_it(make: Any) -> None:
    rules = [
        {"portNumber": 3000, "path": "/inside", "pathType": "Prefix"},
        {"portNumber": 3000, "path": "/other", "pathType": "Prefix"},
        {"portNumber": 3000, "path": "/exact", "pathType": "Exact"},
    ]
    page = describe(compiled(*export(make, rules=rules)).snapshot, 1, lambda *_: None, 0.0)
    assert page["northSouth"] == []
    assert [route["where"] for route in page["betweenClusters"]] == ["Name demo/inside:3000"]
