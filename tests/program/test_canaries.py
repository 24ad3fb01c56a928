"""Timeouts and canaries of the settings reach their objects, and mean there what gateways take them for."""

from __future__ import annotations

import json
from typing import Any

from components.mesh import global_traffic_policy, service_export
from gateway.core import header_match, timeouts
from gateway.core.backends import read_backend_refs
from gateway.core.policy import read_policy

EXPORT = "cluster-1-dapr-test-nodeapp-export-object"
POLICY = "cluster-2-dapr-test-nodeapp-policy-object"
HEADERS = [
    {"name": "x-canary", "value": "true"},
    {"name": "team", "value": "a|b", "type": "RegularExpression"},
]


def object_of(run: Any, name: str, **changes: Any) -> Any:
    def change(config: Any) -> None:
        config["exports"][0].update(changes.get("export", {}))
        config["policies"] = changes.get("policies", [])

    return run("dev", change).find(name).inputs


def test_the_timeouts_of_an_export_are_in_its_object(run: Any) -> None:
    said = {"request": "30s", "backendRequest": "5s"}
    made = object_of(run, EXPORT, export={"timeouts": said})
    assert timeouts.read_timeouts(made) == timeouts.Timeouts("30s", "5s")
    assert json.loads(made["metadata"]["annotations"][service_export.TIMEOUTS]) == said
    one = object_of(run, EXPORT, export={"timeouts": {"request": "1m"}})
    assert timeouts.read_timeouts(one) == timeouts.Timeouts("1m")
    assert service_export.TIMEOUTS not in run("dev").find(EXPORT).inputs["metadata"]["annotations"]


def test_the_backends_of_an_export_are_in_its_object(run: Any) -> None:
    refs = [
        {"name": "nodeapp", "weight": 95},
        {"name": "nodeapp-canary", "weight": 5, "match": {"headers": HEADERS}},
    ]
    made = object_of(run, EXPORT, export={"backendRefs": refs})
    assert [str(ref) for ref in read_backend_refs(made)] == [
        "nodeapp 95",
        "nodeapp-canary 5 (x-canary: true, team ~ a|b)",
    ]
    assert service_export.BACKEND_REFS == header_match.BACKEND_REFS
    assert service_export.BACKEND_REFS not in run("dev").find(EXPORT).inputs["metadata"]["annotations"]


def test_the_matches_of_a_policy_are_in_its_object(run: Any) -> None:
    targets = [
        {"cluster": "cluster-1", "weight": 95},
        {"cluster": "cluster-3", "weight": 5, "match": {"headers": HEADERS}},
    ]
    policy = {"cluster": "cluster-2", "namespace": "dapr-test", "name": "nodeapp", "lbType": "ActiveActive"}
    made = object_of(run, POLICY, policies=[{**policy, "targets": targets}])
    for target in made["spec"]["targets"]:
        target["weight"] = int(target["weight"])  # the engine's numbers are floats until they are JSON
    found, faults = read_policy(made)
    assert not faults
    ((match, clusters),) = found.matches
    assert (str(match), clusters) == (
        "x-canary: true, team ~ a|b", frozenset({"default/default/default/cluster-3"})
    )  # fmt: skip
    assert [target.get("weight") for target in made["spec"]["targets"]] == [95, 5]
    assert "match" not in json.dumps(made["spec"]), "the schema of FSM has no field for it"
    assert global_traffic_policy.MATCH == header_match.MATCH
    plain = object_of(run, POLICY, policies=[{**policy, "targets": targets[:1]}])
    assert list(plain["metadata"]["annotations"]) == [global_traffic_policy.EVERY_CALLER]
