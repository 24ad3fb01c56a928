"""Backends of exports and header matches in the settings."""

from __future__ import annotations

from typing import Any

import pytest
from config.environments import Config, changed, problems

from stacks.config import loading

CANARY = {"headers": [{"name": "x-canary", "value": "true"}]}
PATTERN = {"headers": [{"name": "team", "value": "a|b", "type": "RegularExpression"}]}
NODEAPP = {"name": "nodeapp", "weight": 95}
BESIDE = {"name": "nodeapp-canary", "weight": 5, "match": CANARY}


def refs(*listed: Any) -> Config:
    return {"exports[0].backendRefs": list(listed)}


def match(said: Any) -> Config:
    return {"policies[0].targets[0].match": said}


def test_a_canary_is_said_as_gateway_api_says_it(dev: Config) -> None:
    settings = loading.parse(changed(dev, {**refs(NODEAPP, BESIDE, {"name": "c", "match": PATTERN})}))
    found = settings.exports[0].backend_refs
    assert [(ref.name, ref.weight) for ref in found] == [("nodeapp", 95), ("nodeapp-canary", 5), ("c", 1)]
    assert found[0].match is None
    assert [str(ref.match and ref.match.headers[0].type) for ref in found[1:]] == [
        "Exact",
        "RegularExpression",
    ]


def policy() -> Config:
    target = {"cluster": "cluster-1", "weight": 10}
    about = {"cluster": "cluster-2", "namespace": "dapr-test", "name": "nodeapp", "targets": [target]}
    return {"policies[0]": {**about, "lbType": "ActiveActive"}}


WHERE = "exports[0].backendRefs"
TARGET = "policies[0].targets[0].match"


@pytest.mark.parametrize(
    ("changes", "mistakes"),
    [
        (
            refs(NODEAPP, NODEAPP),
            [f"{WHERE} = 'nodeapp': listed more than once. Give it all of its weight at once."],
        ),
        (refs({**NODEAPP, "weight": 0}), [f"{WHERE}: no Service has a weight, and requests that match"]),
        (refs({**NODEAPP, "weight": -1}), [f"{WHERE}[0].weight = -1: less than 0."]),
        (refs({**NODEAPP, "weight": 0.5}), [f"{WHERE}[0].weight = 0.5: not a whole number"]),
        (refs({"weight": 1}), [f"{WHERE}[0].name: missing"]),
        (refs(*[{"name": f"a{n}"} for n in range(17)]), [f"{WHERE}: has more than 16 entries."]),
        (
            {**refs(NODEAPP, BESIDE), "mesh": "flomesh", "versions": "article"},
            [f"{WHERE}: has no meaning for FSM. Remove it, or use `mesh: bundled`."],
        ),
        (
            {**refs(NODEAPP, BESIDE), "dapr": {"invoke": "sidecar"}},
            [f"{WHERE}: does nothing with `dapr.invoke: sidecar`, where Dapr picks the pod."],
        ),
        (refs({**BESIDE, "match": {"headers": []}}), [f"{WHERE}[0].match.headers"]),
        (refs({**BESIDE, "match": {}}), [f"{WHERE}[0].match.headers: missing"]),
        (
            refs({**BESIDE, "match": {"headers": [*CANARY["headers"], {"name": "X-Canary", "value": "1"}]}}),
            [f"{WHERE}[0].match.headers = 'x-canary': listed more than once. Use a pattern"],
        ),
        (match(CANARY), []),
        (match(PATTERN), []),
        (
            match({"headers": [{**PATTERN["headers"][0], "value": "(a"}]}),
            [f"{TARGET}.headers[0].value = '(a': is not a regular expression in RE2 syntax: missing )"],
        ),
        (match({"headers": [{"name": "a b", "value": "x"}]}), [f"{TARGET}.headers[0].name = 'a b'"]),
        (match({"headers": [{"name": "a", "value": " x"}]}), [f"{TARGET}.headers[0].value = ' x'"]),
        (match({"headers": [{"name": "a", "value": "x", "type": "Prefix"}]}), [f"{TARGET}.headers[0].type"]),
        (
            {**match(CANARY), "policies[0].lbType": "Locality"},
            [f"{TARGET}: does nothing with Locality. Remove it, or use FailOver or ActiveActive."],
        ),
        (
            {**match(CANARY), "mesh": "flomesh", "versions": "article"},
            [f"{TARGET}: has no meaning for FSM. Remove it, or use `mesh: bundled`."],
        ),
    ],
)
def test_what_the_gateway_would_refuse_is_named(dev: Config, changes: Config, mistakes: list[str]) -> None:
    about = [
        one for one in problems(changed(dev, policy() | changes)) if "backendRefs" in one or ".match" in one
    ]
    assert len(about) == len(mistakes), about
    assert all(one.startswith(mistake) for one, mistake in zip(about, mistakes, strict=True)), about


def test_a_service_of_the_settings_has_the_ports_that_are_exported(dev: Config) -> None:
    image = "registry.example.org/canary:1"
    canary = {"name": "canary", "namespace": "dapr-test", "clusters": ["cluster-3"], "image": image}
    reason = "has no port 3000 on cluster-3, which a rule exports. Give the Service that port too."
    for port, mistakes in ((3000, []), (4000, [f"{WHERE}[1].name = 'canary': {reason}"])):
        apps = {"apps[2]": {**canary, "ports": [{"port": port}]}}
        assert problems(changed(dev, {**refs(NODEAPP, {"name": "canary"}), **apps})) == mistakes
