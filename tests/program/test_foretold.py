"""The output `traffic` of plain Pulumi: who would serve whom, by the gateways' own code."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from stacks.outlook import what_if
from stacks.outlook.what_if import WhatIfError
from stacks.program import foretold

POLICY = {"cluster": "cluster-2", "namespace": "dapr-test", "name": "nodeapp"}
CALLERS = "cluster-2: nodeapp.dapr-test, app-id nodeapp, svc.clusterset.local → dapr-test/nodeapp:3000"


def fail_over(config: dict[str, Any]) -> None:
    targets = [{"cluster": "cluster-1", "weight": 3}, {"cluster": "cluster-3", "weight": 1}]
    config["policies"] = [{**POLICY, "lbType": "FailOver", "targets": targets}]


def pinned(config: dict[str, Any]) -> None:
    config["policies"] = [{**POLICY, "lbType": "Locality", "targets": [{"cluster": "cluster-1"}]}]


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", said.append)
    return said


def test_plain_pulumi_says_who_would_serve_whom_and_what_it_assumes(run: Any, warned: list[str]) -> None:
    told = run("dev", fail_over, traffic=True).outputs["traffic"]
    assert told["served"][CALLERS] == {
        "policy": "FailOver",
        "by": "cluster-1 75 %, cluster-3 25 %",
        "without cluster-1": "cluster-3 100 %",
        "without cluster-3": "cluster-1 100 %",
    }
    assert told["served"]["control-plane: from outside, /nodeapp → dapr-test/nodeapp:3000"]["by"] == (
        "cluster-1 50 %, cluster-3 50 %"
    )
    assert told["assumed"].endswith("clusters were not asked")
    assert (set(told), warned) == ({"assumed", "served"}, [])


def test_a_preview_that_knows_nothing_of_what_is_there_says_the_same(run: Any) -> None:
    assert (
        run("dev", fail_over, preview=True, traffic=True).outputs["traffic"]
        == run("dev", fail_over, traffic=True).outputs["traffic"]
    )


def test_what_would_go_wrong_is_warned_of(run: Any, warned: list[str]) -> None:
    text = "without cluster-1, nobody serves 100 % of the calls of cluster-2 to dapr-test/nodeapp:3000"
    assert run("dev", pinned, traffic=True).outputs["traffic"]["wrong"] == [text]
    assert warned == [text]


def test_another_mesh_tells_nothing(run: Any) -> None:
    assert "traffic" not in run("article", traffic=True).outputs


def test_what_would_take_minutes_is_left_to_a_command(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foretold, "MOST_COMPUTED", 3)
    told = run("dev", fail_over, traffic=True).outputs["traffic"]
    assert told == {"left out": "4 clusters with so many exports take long: ./stack preview dev --traffic"}
    monkeypatch.setattr(foretold, "MOST_COMPUTED", 100)
    monkeypatch.setattr(foretold, "MOST_SHOWN", 1)
    told = run("dev", fail_over, traffic=True).outputs["traffic"]
    assert len(told["served"]) == 1
    assert told["more"].endswith("rows more: ./stack preview dev --traffic")


def test_an_up_goes_on_without_what_the_gateway_cannot_tell(
    run: Any, warned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise WhatIfError("gateway what-if ended with 2: no such file")

    monkeypatch.setattr(what_if, "ask", refuse)
    assert run("dev", fail_over, traffic=True).outputs["traffic"] == {
        "left out": "gateway what-if ended with 2: no such file"
    }
    assert warned == ["who would serve whom cannot be told: gateway what-if ended with 2: no such file"]
