"""One evaluation of exports: what is served, what other clusters may import, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core import conditions
from gateway.core.exports import HASH_ON_ANNOTATION, Evaluation, evaluate_exports
from gateway.core.fields import FieldError
from gateway.core.services import add_slice, read_service

KEY = ("demo", "app")


def evaluated(raw: Any, service: Any) -> Evaluation:
    return evaluate_exports({KEY: raw}, {KEY: read_service(service)})[KEY]


def reasons(found: Evaluation) -> list[str]:
    return [problem.reason for problem in found.problems]


def rule(path: str, kind: str = "Prefix", port: int = 3000) -> dict[str, Any]:
    return {"path": path, "pathType": kind, "portNumber": port}


def test_of_two_rules_with_one_path_the_first_is_served(make: Any) -> None:
    ports = {3000: "http", 4000: "grpc"}
    found = evaluated(make.export(rules=[rule("/app"), rule("/app/", port=4000)]), make.service(ports=ports))
    assert reasons(found) == ["PathConflict"]
    assert [served.port for served in found.rules] == [3000]


def test_the_first_prefix_of_a_port_is_what_others_import(make: Any) -> None:
    rules = [rule("/exact", "Exact"), rule("/a"), rule("/b"), rule("/only", "Exact", 4000)]
    ports = {3000: "grpc-web", 4000: "x"}
    found = evaluated(make.export(rules=rules), make.service(ports=ports))
    assert [(port.number, port.protocol, port.path) for port in found.ports] == [(3000, "grpc", "/a")]
    assert found.notes == (
        "port 4000 has only an Exact path, which other clusters cannot use: give it a Prefix",
    )


def test_a_service_that_is_being_deleted_is_not_exported(make: Any) -> None:
    service = make.service()
    service["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    found = evaluated(make.export(), service)
    assert reasons(found) == ["ServiceDeleted"]
    assert not found.rules
    assert not found.ports


@pytest.mark.parametrize("hash_on", ["header", "cookie:a b", 3])
def test_what_to_hash_on_is_checked(make: Any, hash_on: object) -> None:
    raw = make.export()
    raw["metadata"]["annotations"] = {HASH_ON_ANNOTATION: hash_on}
    assert reasons(evaluated(raw, make.service())) == ["InvalidHashOn"]


def test_a_service_without_tcp_ports_exports_none(make: Any) -> None:
    service = make.service()
    service["spec"]["ports"][0]["protocol"] = "UDP"
    (problem,) = evaluated(make.export(), service).problems
    assert problem.message == "spec.rules[0].portNumber 3000 is not a TCP port of the Service, which has none"


def test_conditions_say_what_counts(make: Any) -> None:
    found = evaluated(make.export(targetClusters=["r/z/g/far"]), make.service())
    fine = conditions.valid(found, reachable=True, clusters=["r/z/g/far"])
    assert (fine.status, fine.message) == (True, "ports 3000 are exported")
    alone = conditions.valid(found, reachable=False, clusters=[])
    assert alone.message.endswith("have not joined: r/z/g/far")
    nothing = evaluated(make.export(rules=[]), make.service())
    assert conditions.valid(nothing, reachable=True, clusters=[]).message.startswith("spec.rules is empty")
    assert conditions.programmed(nothing.problems).reason == "NoRules"
    assert conditions.programmed([]).status is True
    assert conditions.conflict([]).status is False
    assert conditions.conflict(["a", "b"]).message == "a; b"
    assert conditions.managed("down").status is False
    assert conditions.managed(home=True).message == "this is the hub's own cluster"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"endpoints": [{"addresses": 5}]}, "endpoints[0].addresses is not a list"),
        ({"endpoints": [{"addresses": [""]}]}, "give a string"),
        ({"endpoints": 5}, "endpoints is not a list of mappings"),
        ({"endpoints": [{"conditions": 5}]}, "endpoints[0].conditions is not a mapping"),
        ({"ports": [{"port": 0}]}, "give a port from 1 to 65535"),
    ],
)
def test_what_is_wrong_with_a_slice_is_named(make: Any, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(FieldError) as raised:
        add_slice(read_service(make.service()), {**make.slice("10.0.0.1"), **changes})
    assert words in str(raised.value)


@pytest.mark.parametrize("changes", [{"addressType": "FQDN"}, {"addressType": []}, {"ports": [{}]}], ids=repr)
def test_a_slice_that_lists_nobody_the_gateway_could_dial(make: Any, changes: dict[str, Any]) -> None:
    service = read_service(make.service())
    add_slice(service, {**make.slice("10.0.0.1"), **changes})
    assert (service.ready, service.terminating) == ({}, {})


@pytest.mark.parametrize("rewrite", [{"from": "^/app", "to": ""}, {"from": "^/app"}, {"to": "/"}])
def test_half_a_rewrite_is_named(make: Any, rewrite: dict[str, str]) -> None:
    found = evaluated(make.export(pathRewrite=rewrite), make.service())
    assert [problem.reason for problem in found.problems] == ["InvalidRewrite"]


@pytest.mark.parametrize("path", ["/a/../b", "/a/%2e%2e/b", "/a%2f..", "/%zz", "/a%2", "/a/..*", "/.*"])
def test_a_path_that_nobody_can_ask_for_is_named(make: Any, path: str) -> None:
    found = evaluated(make.export(path=path), make.service())
    assert [problem.reason for problem in found.problems] == ["InvalidPath"]


@pytest.mark.parametrize(
    ("conditions", "serves"),
    [
        ({"terminating": True}, True),
        ({"ready": False, "serving": True, "terminating": True}, True),
        ({"ready": False, "serving": False, "terminating": True}, False),
        ({"ready": False, "terminating": True}, False),
        ({"ready": False}, False),
    ],
)
def test_terminating_pods_serve_while_nobody_is_ready(
    make: Any, conditions: dict[str, bool], serves: bool
) -> None:
    service = read_service(make.service())
    add_slice(service, make.slice("10.0.0.1", **conditions))
    assert bool(service.endpoints(3000)) is serves
    add_slice(service, make.slice("10.0.0.2"))
    assert [endpoint.host for endpoint in service.endpoints(3000)] == ["10.0.0.2"]
