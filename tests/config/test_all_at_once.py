"""Every mistake is found in one run, also where a part cannot be read, and none that only follows."""

from __future__ import annotations

from typing import Any

import pytest
from config.environments import GONE, Config, changed, problems, read_environment
from hypothesis import given, settings
from hypothesis import strategies as st

SHOP = {"service": "checkout", "namespace": "shop", "clusters": ["cluster-1"]}
POLICY = {"cluster": "cluster-2", "namespace": "shop", "name": "checkout", "lbType": "FailOver"}
PORT = {"portNumber": 80}
NO_NAME = "does not have the form ^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
SAME_PORT = "clusters[2].httpPort = 81: clusters[1].httpPort has the same port"
DOTS = "has dot segments, or a % that begins no escape, which no request has"

# What is changed, and everything that is told.
# fmt: off
CASES: dict[str, tuple[Config, list[str]]] = {
    "a typo hides no duplicate port": (
        {"clusters[1].apiport": 1, "clusters[2].httpPort": 81},
        ["clusters[1].apiport: unknown key", SAME_PORT]),
    "a port that is none hides no other": (
        {"clusters[0].apiPort": "x", "clusters[2].httpPort": 81},
        ["clusters[0].apiPort = 'x': not a whole number", SAME_PORT]),
    "clusters that cannot be read are compared with none": (
        {"clusters[1].rol": "member", "clusters[3].httpPort": 80, "clusters[0].name": "Hub"},
        [f"clusters[0].name = 'Hub': {NO_NAME}", "clusters[1].rol: unknown key"]),
    "no name is unknown while a cluster cannot be read": (
        {"clusters[1]": "cluster-1", "apps[0].clusters": ["cluster-1", "control-plane"]},
        ["clusters[1] = 'cluster-1': not a mapping of keys",
         "apps[0].clusters = 'control-plane': is the control plane, which runs no apps"]),
    "a bad rule leaves no list that is too short": (
        {"exports[0].rules[0].portNumber": GONE}, ["exports[0].rules[0].portNumber: missing"]),
    "a rule with a typo is still a rule": (
        {"exports[0].rules[0].paths": "/x", "exports[0].targetClusters": ["a/b/c/d"]},
        ["exports[0].rules[0].paths: unknown key",
         "exports[0].targetClusters = 'a/b/c/d': no cluster has this key"]),
    "a list that is too short by itself": (
        {"exports[0].rules": []}, ["exports[0].rules: needs at least 1 entry"]),
    "entries keep their places in the file": (
        {"exports[0].rules[0].portNumber": "http",
         "exports[1]": {**SHOP, "rules": [{"portNumber": 0}, {**PORT, "path": "/a/../b"}]},
         "exports[2]": {**SHOP, "clusters": ["cluster-9"], "rules": [PORT]}},
        ["exports[0].rules[0].portNumber = 'http': not a whole number",
         "exports[1].rules[0].portNumber = 0: less than 1",
         f"exports[1].rules[1].path = '/a/../b': {DOTS}",
         "exports[2].clusters = 'cluster-9': no such cluster"]),
    "also those that a reason names": (
        {"exports": [{**SHOP, "rules": "80"}, {**SHOP, "rules": [PORT]},
                     {**SHOP, "rules": [{**PORT, "path": "/x"}]}]},
        ["exports[0].rules = '80': not a list",
         "exports[2].clusters = 'cluster-1': exports[1] exports it already"]),
    "an entry that is no object": (
        {"apps[1].clusters": ["Cluster", "cluster-9"], "clusters[1].mayExport": ["Shop", "dapr-test"]},
        [f"apps[1].clusters[0] = 'Cluster': {NO_NAME}",
         "apps[1].clusters = 'cluster-9': no such cluster",
         f"clusters[1].mayExport[0] = 'Shop': {NO_NAME}"]),
    "a policy without its faulty targets lacks none": (
        {"policies": [
            {**POLICY, "targets": [{"cluster": "cluster-1", "weight": "all"}, {"cluster": "Cluster"}]},
            {**POLICY, "name": "pay", "targets": ["cluster-1"]}]},
        ["policies[0].targets[0].weight = 'all': not a whole number",
         f"policies[0].targets[1].cluster = 'Cluster': {NO_NAME}",
         "policies[1].targets[0] = 'cluster-1': not a mapping of keys"]),
    "an object of which a choice is unknown": (
        {"redis": {"mode": "rediss", "port": 6444}, "clusters[2].httpPort": 81},
        ["redis.mode = 'rediss': not one of the choices", SAME_PORT]),
    "an object without what it needs": (
        {"exports[0].pathRewrite": {"from": "("}, "exports[0].targetClusters": ["a/b/c/d"]},
        ["exports[0].pathRewrite.to: missing",
         "exports[0].targetClusters = 'a/b/c/d': no cluster has this key"]),
    "nothing is said of what depends on an unknown choice": (
        {"mesh": "istio", "clusters[1].mayExport": ["dapr-test"] * 2, "dapr": {"invoke": "sidecar"}},
        ["mesh = 'istio': not one of the choices"]),
    "no clusters at all": (
        {"clusters": "four", "dapr": {"mtls": "yes"}, "bindAddresses": 5},
        ["clusters = 'four': not a list", "dapr.mtls = 'yes': not true or false",
         "bindAddresses = 5: not a list"]),
    "no cluster that can be read": (
        {"clusters": [{"name": "A"}, 3]},
        [f"clusters[0].name = 'A': {NO_NAME}", "clusters[1] = 3: not a mapping of keys"]),
}
# fmt: on


def told(dev: Config, changes: Config) -> list[str]:
    """Path and reason of each problem."""
    return [problem.partition(". ")[0] for problem in problems(changed(dev, changes))]


@pytest.mark.parametrize(("changes", "expected"), CASES.values(), ids=CASES)
def test_each_mistake_is_told_and_no_other(dev: Config, changes: Config, expected: list[str]) -> None:
    assert sorted(told(dev, changes)) == sorted(expected)


@pytest.mark.parametrize("value", ["yes", "true", 1, 0])
@pytest.mark.parametrize("key", ["dapr.mtls", "gateway.accessLog", "exports[0].sessionSticky"])
def test_only_true_and_false_are_true_and_false(dev: Config, key: str, value: object) -> None:
    base = changed(dev, {"dapr": {}, "gateway": {}})
    assert told(base, {key: value}) == [f"{key} = {value!r}: not true or false"]


@pytest.mark.parametrize("value", ["81", 81.5, True])
def test_only_whole_numbers_are_numbers(dev: Config, value: object) -> None:
    key = "clusters[1].httpPort"
    assert told(dev, {key: value}) == [f"{key} = {value!r}: not a whole number"]


ANYTHING = [None, True, 0, 81, -1, 1.5, "", "x", "Not A Name", [], {}, ["x"], [3], [{}], {"x": 1}, [[]]]


def places(node: Any, path: str = "") -> list[str]:
    """Paths of everything in a configuration."""
    inner: list[tuple[str, Any]] = []
    if isinstance(node, dict):
        inner = [(f"{path}.{key}".lstrip("."), value) for key, value in node.items()]
    elif isinstance(node, list):
        inner = [(f"{path}[{n}]", value) for n, value in enumerate(node)]
    return [one for place, value in inner for one in (place, *places(value, place))]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_stands_there_is_told_and_breaks_nothing(data: st.DataObject) -> None:
    config = read_environment("article")
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(places(config)))
        config = changed(config, {place: data.draw(st.sampled_from(ANYTHING))})
    assert all(isinstance(problem, str) for problem in problems(config))
