"""What is said of a run of good and hostile traffic, and what of it needs no platform."""

from __future__ import annotations

import ast
import sys
import xml.etree.ElementTree as ET

import pytest
from e2e.soak import picture, report, world
from e2e.soak.samples import Series, started_again
from e2e.soak.tenant import TURNS
from fuzz.schema import faults, schema_of

BEGAN = 1000.0
MINUTES = 6.0


def good(**changes: object) -> report.Good:
    found = report.Good(BEGAN)
    found.take([BEGAN - 5, "by name", [9.0], 1, ["not ready yet"]])
    for window in range(72):
        found.take([BEGAN + 5 * window, "by name", [0.01, 0.02], 0, []])
    if changes:
        found.take([BEGAN, "by name", [1.0], 1, ["503"]])
    return found


def hostile(*leaks: str) -> report.Hostile:
    found = report.Hostile()
    found.take([BEGAN, {"smuggle: 400": 50}, list(leaks)])
    return found


def series(growth: float) -> Series:
    """By so many MiB an hour, after a start that is steeper."""
    times = [BEGAN + 10 * step for step in range(36)]
    sizes = [50 + growth * max(0.0, at - BEGAN - 100) / 3600 + min(20.0, (at - BEGAN) / 5) for at in times]
    return Series(times, sizes, [9] * 36)


def wrong(
    asked: report.Good | None = None, *, attacks: report.Hostile | None = None, growth: float = 1.0,
    restarted: tuple[str, ...] = (), smuggled: tuple[str, ...] = (), minutes: float = MINUTES,
) -> str:  # fmt: skip
    found = report.shortcomings(
        asked or good(), attacks or hostile(), {"cluster-1 gateway 7": series(growth)},
        restarted=restarted, smuggled=smuggled, minutes=minutes,
    )  # fmt: skip
    return "; ".join(f"{wanted}: {why}" for wanted, why in found.items())


def test_a_good_run_is_well_and_what_came_before_it_does_not_count() -> None:
    assert not wrong()
    figures = report.summary(good(), hostile(), {"cluster-1 gateway 7": series(1.0)})
    assert figures["good"]["by name"] == {
        "requests": 144, "failed": 0, "p50": 20.0, "p99": 20.0, "slowest": 20.0,
    }  # fmt: skip
    assert [row["requests"] for row in figures["minutes"]["by name"]] == [24] * 6
    assert figures["memory"]["cluster-1 gateway 7"]["MiB/h"] == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"asked": good(failed=1)}, "no good request failed: 1 of 145"),
        ({"asked": report.Good(BEGAN)}, "in every minute: none at all"),
        ({"minutes": 8.0}, "in every minute: by name"),
        ({"growth": 60.0}, r"less than 15 MiB/h: cluster-1 gateway 7: \+60"),
        ({"restarted": ("cluster-1 gateway-x: 0 to 1",)}, "nothing restarted: cluster-1 gateway-x: 0 to 1"),
        ({"smuggled": ("smuggled 'GET'",)}, "nothing was smuggled to a server"),
        ({"attacks": hostile("two answers")}, "request answered twice: two answers"),
        ({"attacks": report.Hostile()}, "attacks were made: none"),
    ],
)
def test_what_is_not_well_is_named(changes: dict[str, object], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        assert not wrong(**changes)  # type: ignore[arg-type]


def test_pods_that_restart_or_are_others_are_named() -> None:
    assert started_again({"a": 0, "b": 0, "c": 0}, {"a": 0, "b": 1, "d": 0}) == [
        "b: 0 to 1", "c: 0 to None", "d: None to 0",
    ]  # fmt: skip


def test_the_picture_has_a_line_for_each_process_lane_and_count() -> None:
    text = picture.draw(good(), {"cluster-1 gateway 7": series(1.0)})
    drawn = ET.fromstring(text)  # noqa: S314  our own
    texts = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"cluster-1 gateway", "by name", "requests", "failed"} <= set(texts)


@pytest.mark.parametrize("name", ["echo", "good", "attacks"])
def test_what_runs_in_a_pod_needs_the_standard_library_alone(name: str) -> None:
    for node in ast.walk(ast.parse(world.script(name))):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        assert all(module.partition(".")[0] in sys.stdlib_module_names for module in modules), modules


def test_the_good_objects_are_such_as_an_api_server_takes() -> None:
    assert not list(faults(world.export(world.ECHO), schema_of("serviceexports")))
    policy = world.policy(world.ECHO, "FailOver", "cluster-3")
    assert not list(faults(policy, schema_of("globaltrafficpolicies")))


def test_the_tenant_writes_into_its_own_namespace() -> None:
    known = dict.fromkeys(("echo", "gateway", "node", "controller"), "10.0.0.1")
    made = [item for turn in TURNS for item in turn(known)]
    assert {item["metadata"]["namespace"] for item in made} == {world.EVIL}
    assert {item["metadata"]["labels"].get("app") for item in made} == {"soak"}, "so that it can be deleted"
