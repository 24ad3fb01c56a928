"""The picture of settings alone: by the code that routes, of every environment of the repository."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from platforms.repository import ROOT, repository, written

from cli.graph.command import foretold
from cli.graph.foretold import of_settings
from cli.graph.picture import Picture
from cli.paths import Paths
from cli.preview.foreseen import Planned, ask, planned
from stacks.config.model import Settings
from stacks.outlook.outlook import Outlook

ENVIRONMENTS = sorted(path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml"))
NODEAPP = "dapr-test/nodeapp"
FAIL_OVER = {
    "cluster": "cluster-2", "namespace": "dapr-test", "name": "nodeapp", "lbType": "FailOver",
    "targets": [{"cluster": "cluster-1", "weight": 3}, {"cluster": "cluster-3", "weight": 1}],
}  # fmt: skip
Draw = Callable[..., Picture]


@pytest.fixture
def folder(tmp_path: Path) -> Paths:
    return repository(tmp_path)


@pytest.fixture
def draw(folder: Paths) -> Draw:
    """Draws `dev` with changes."""

    def drawn(**changes: Any) -> Picture:
        return foretold("dev", folder, written(folder, "dev", **changes))

    return drawn


def asked(paths: Paths, environment: str, settings: Settings) -> tuple[Planned, Outlook | None]:
    there = planned(paths, environment, settings)
    return there, ask(settings, there.assumed.objects, there) if settings.mesh == "bundled" else None


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_environment_is_drawn_with_all_that_its_settings_have(environment: str, folder: Paths) -> None:
    secrets = {"redisPassword": {"secure": "v1:of-this-test"}} if environment == "existing" else {}
    settings = written(folder, environment, **secrets)
    there, outlook = asked(folder, environment, settings)
    found = of_settings(environment, settings, there, outlook, at=1000.0)
    shown, names = found["frame"], [one.name for one in settings.clusters]
    assert [(one["name"], one["reach"]) for one in shown["clusters"]] == [(name, "planned") for name in names]
    assert {
        (one["name"], shown["clusters"][number]["name"])
        for one in shown["services"]
        for number in one["exporters"]
    } == {(f"{one.namespace}/{one.service}", name) for one in settings.exports for name in one.clusters}
    policies: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for one in settings.policies:
        of = policies[f"{one.namespace}/{one.name}"]
        of[one.lb_type] = of.get(one.lb_type, 0) + 1
    assert {one["name"]: one["policies"] for one in shown["services"] if one["policies"]} == policies
    assert set(found["details"]) == {*names, *(one["name"] for one in shown["services"])}
    assert (shown["shows"], shown["at"], shown["totals"]["reachable"]) == ("settings", 1000.0, 0)
    assert crossing(found) == by_rows(outlook, settings)
    assert bool(shown["untold"]) is (outlook is None)
    assert shown["assumed"].startswith("No cluster was asked.") is (outlook is not None)
    json.dumps(found, allow_nan=False)


def crossing(found: Picture) -> Mapping[tuple[str, str], float]:
    names = [one["name"] for one in found["frame"]["clusters"]]
    return {(names[one["source"]], names[one["target"]]): one["percent"] for one in found["frame"]["links"]}


def by_rows(outlook: Outlook | None, settings: Settings) -> Mapping[tuple[str, str], float]:
    """The most that a cluster gets of any requests of another, as the gateways' code says."""
    names, most = {one.key: one.name for one in settings.clusters}, defaultdict(float)
    for row in outlook.rows if outlook is not None else ():
        for key, _, percent in row.served.parts:
            if key != row.client:
                pair = names[row.client], names[key]
                most[pair] = max(most[pair], round(percent, 2))
    return most


def test_scale_shares_the_calls_of_its_one_policy_and_of_the_front_door_among_all_exporters(
    folder: Paths,
) -> None:
    found = foretold("scale", folder, written(folder, "scale"))
    odd = [f"member-{number:02}" for number in range(1, 17, 2)]
    assert crossing(found) == {
        (source, name): 12.5 for source in ("control-plane", "member-02") for name in odd
    }


def test_who_would_serve_whom_is_told_for_callers_by_each_name_and_with_each_cluster_lost(draw: Draw) -> None:
    found = draw(policies=[FAIL_OVER])
    assert crossing(found)["cluster-2", "cluster-1"] == 75
    callers = {(one["cluster"], one["who"]): one for one in found["details"][NODEAPP]["callers"]}
    one = callers["cluster-2", "nodeapp.dapr-test, app-id nodeapp, svc.clusterset.local"]
    assert one["policy"] == "FailOver"
    assert {part["cluster"]: part["percent"] for part in one["parts"]} == {"cluster-1": 75, "cluster-3": 25}
    assert {
        loss["cluster"]: [(part["cluster"], part["percent"]) for part in loss["parts"]]
        for loss in one["lost"]
    } == {"cluster-1": [("cluster-3", 100)], "cluster-3": [("cluster-1", 100)]}
    assert callers["control-plane", "from outside, /nodeapp"]["parts"]
    assert found["details"][NODEAPP]["policies"][0]["says"].startswith("FailOver to ")
    assert found["details"][NODEAPP]["policies"][0]["conditions"] == []


def test_callers_who_would_go_past_the_gateways_are_told_with_the_reason(draw: Draw) -> None:
    found = draw(policies=[{**FAIL_OVER, "cluster": "cluster-1", "everyCaller": False}])
    callers = found["details"][NODEAPP]["callers"]
    said = {one["who"]: one["direct"] for one in callers if one["cluster"] == "cluster-1"}
    assert said["nodeapp.dapr-test"] == "everyCaller is off"


def test_requests_that_match_a_header_are_told_apart(draw: Draw) -> None:
    canary = {"headers": [{"name": "x-canary", "value": "true"}]}
    first, second = FAIL_OVER["targets"]
    found = draw(policies=[{**FAIL_OVER, "targets": [{**first, "match": canary}, second]}])
    (one,) = [one for one in found["details"][NODEAPP]["callers"] if one["cluster"] == "cluster-2"]
    assert [match["headers"] for match in one["matches"]] == ["x-canary: true"]
    assert one["matches"][0]["parts"]


def test_what_would_go_wrong_is_a_problem(draw: Draw) -> None:
    found = draw(
        policies=[{**FAIL_OVER, "targets": [{"cluster": "cluster-1"}]}], preview={"withoutHome": "error"}
    )
    problems = found["frame"]["problems"]
    assert "fail" in {one["result"] for one in problems}
    assert any(
        "without cluster-1, nobody serves 100 % of the calls of cluster-2" in one["name"] for one in problems
    )
    assert len({one["name"] for one in problems}) == len(problems), "the page tells them apart by their names"


def test_a_service_that_nobody_would_serve_is_bad(draw: Draw) -> None:
    found = draw(**{"policies": [FAIL_OVER], "apps[0].overrides": {
        "cluster-1": {"replicas": 0}, "cluster-3": {"replicas": 0},
    }})  # fmt: skip
    (service,) = found["frame"]["services"]
    assert (service["state"], service["why"]) == ("bad", "nobody can serve its callers")
    assert ["app", "nodeapp in dapr-test, no pods"] in found["details"]["cluster-1"]["settings"]


def test_nothing_is_told_of_another_mesh(draw: Draw) -> None:
    found = draw(policies=[FAIL_OVER], mesh="flomesh")
    assert (found["frame"]["links"], found["details"][NODEAPP]["callers"]) == ([], [])
    assert "bundled mesh alone" in found["frame"]["untold"]
    assert found["details"][NODEAPP]["policies"]
