"""Timeouts of exports: what is read, what is refused, and where they hold."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.conditions import valid
from gateway.core.describe import describe
from gateway.core.exports import evaluate_exports
from gateway.core.fields import FieldError
from gateway.core.json_annotation import MOST_CHARACTERS
from gateway.core.limits import Limits
from gateway.core.request import parse_request_head
from gateway.core.services import read_service
from gateway.core.snapshot import compile_snapshot
from gateway.core.timeouts import NO_TIMEOUTS, TIMEOUTS, Timeouts, read_timeouts
from gateway.edge.routed import RoutedHead

KEY = ("demo", "app")


def saying(raw: Any, said: object) -> Any:
    raw["metadata"]["annotations"] = {TIMEOUTS: said if isinstance(said, str) else json.dumps(said)}
    return raw


@pytest.mark.parametrize(
    ("said", "request_seconds", "backend_seconds"),
    [
        ({}, 0.0, 0.0),
        ({"request": "30s"}, 30.0, 0.0),
        ({"request": "1h2m3s4ms"}, 3723.004, 0.0),
        ({"request": "10s", "backendRequest": "500ms"}, 10.0, 0.5),
        ({"backendRequest": "2m"}, 0.0, 120.0),
        ({"request": "0s", "backendRequest": "5s"}, 0.0, 5.0),
        ({"request": "5s", "backendRequest": "0s"}, 5.0, 0.0),
        ({"request": None}, 0.0, 0.0),
    ],
)
def test_durations_are_those_of_gateway_api(
    make: Any, said: dict[str, Any], request_seconds: float, backend_seconds: float
) -> None:
    found = read_timeouts(saying(make.export(), said))
    assert found.request_seconds == pytest.approx(request_seconds)
    assert found.backend_seconds == pytest.approx(backend_seconds)
    assert found.described() == {name: value for name, value in said.items() if value}
    assert (found is NO_TIMEOUTS) is not any(said.values())
    assert read_timeouts(saying(make.imported(), found.annotation() or {})) == found


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("{", "is not JSON"),
        ("[" * 5000, "is not JSON"),
        ("[]", "give a mapping of backendRequest, request"),
        (" " * (MOST_CHARACTERS + 1), f"at most {MOST_CHARACTERS} characters"),
        ({"requests": "5s"}, "has 'requests', which has no meaning"),
        ({"request": 5}, "request is 5: give a duration"),
        ({"request": "5"}, "request is '5': give a duration"),
        ({"request": "1.5s"}, "give a duration"),
        ({"request": "-5s"}, "give a duration"),
        ({"backendRequest": "123456s"}, "give a duration"),
        ({"request": "5s", "backendRequest": "6s"}, "backendRequest 6s is longer than request 5s"),
    ],
)
def test_what_cannot_be_kept_is_named(make: Any, said: object, named: str) -> None:
    with pytest.raises(FieldError, match=r"multicluster\.flomesh\.io/timeouts") as found:
        read_timeouts(saying(make.export(), said))
    assert named in str(found.value)
    assert found.value.reason == "InvalidTimeouts"
    assert len(str(found.value)) < 1000


def test_an_annotation_that_is_no_text_is_named(make: Any) -> None:
    raw = make.export()
    raw["metadata"]["annotations"] = {TIMEOUTS: 5}
    with pytest.raises(FieldError, match="is not text"):
        read_timeouts(raw)


def test_an_export_with_faulty_timeouts_is_served_without_them(make: Any) -> None:
    raw = saying(make.export(), {"request": "soon"})
    found = evaluate_exports({KEY: raw}, {KEY: read_service(make.service())})[KEY]
    assert [problem.reason for problem in found.problems] == ["InvalidTimeouts"]
    assert found.timeouts == NO_TIMEOUTS
    assert [rule.path for rule in found.rules] == ["/app"]
    assert valid(found, reachable=True, clusters=()).message.endswith("the rest of it is served")


def test_the_condition_of_an_export_says_its_timeouts(make: Any) -> None:
    raw = saying(make.export(), {"request": "5s", "backendRequest": "2s"})
    found = evaluate_exports({KEY: raw}, {KEY: read_service(make.service())})[KEY]
    said = valid(found, reachable=True, clusters=()).message
    assert said == "ports 3000 are exported; timeouts: request 5s, backendRequest 2s"


FOREVER = float("inf")
OWN, OTHERS = {"request": "5s", "backendRequest": "1s"}, {"request": "9s"}


def test_the_own_export_comes_before_the_import(make: Any) -> None:
    pods, imported = [make.service(), make.slice("10.0.0.1")], saying(make.imported(c1=81), OTHERS)
    cases: list[tuple[list[Any], dict[str, str]]] = [
        ([imported], OTHERS),
        ([*pods, saying(make.export(), OWN), imported], OWN),
        ([*pods, make.export(), imported], OTHERS),
        ([*pods, saying(make.export(), OWN)], OWN),
        ([*pods, make.export()], {}),
    ]
    for objects, wanted in cases:
        snapshot = compile_snapshot(objects, make.key("here"), front_door=True).snapshot
        page = describe(snapshot, 1, lambda *_: None, 0.0)
        routes = [*page["northSouth"], *page["eastWest"]]
        assert [route["timeouts"] for route in routes] == [wanted] * 2


def test_a_faulty_import_is_named_and_routed_by(make: Any) -> None:
    compiled = compile_snapshot([saying(make.imported(c1=81), "x")], make.key("here"))
    assert [(one.kind, one.reason) for one in compiled.problems] == [("ServiceImport", "InvalidTimeouts")]
    assert compiled.snapshot.hosts.find(b"app.demo") is not None


@pytest.mark.parametrize(
    ("timeouts", "total", "first_byte", "attempt"),
    [
        (NO_TIMEOUTS, 3600.0, 60.0, 0.0),
        (Timeouts("5s"), 5.0, FOREVER, 0.0),
        (Timeouts("2m"), 120.0, FOREVER, 0.0),
        (Timeouts("2h"), 3600.0, FOREVER, 0.0),
        (Timeouts("0s"), 3600.0, FOREVER, 0.0),
        (Timeouts("", "5s"), 3600.0, FOREVER, 5.0),
        (Timeouts("9s", "5s"), 9.0, FOREVER, 5.0),
    ],
)
def test_a_service_has_its_own_bounds_within_the_gateways(
    make: Any, timeouts: Timeouts, total: float, first_byte: float, attempt: float
) -> None:
    objects = [make.service(), make.slice("10.0.0.1"), saying(make.export(), timeouts.described())]
    route = compile_snapshot(objects, make.key("here")).snapshot.paths.find(b"/app")
    head = parse_request_head(b"GET /app HTTP/1.1\r\nHost: x\r\n\r\n", Limits())
    routed = RoutedHead(head, route, None, Limits().total_seconds, Limits().first_byte_seconds)
    assert (routed.total_seconds, routed.first_byte_seconds) == (total, first_byte)
    assert routed.attempt_seconds == attempt


def test_other_timeouts_leave_a_route_what_it_is(make: Any) -> None:
    objects = [make.service(), make.slice("10.0.0.1")]
    before = compile_snapshot([*objects, make.export()], make.key("here")).snapshot
    after = compile_snapshot([*objects, saying(make.export(), OWN)], make.key("here")).snapshot
    assert all(after.holds(route) for route in before.path_routes()), "its rotation and its counts go on"
