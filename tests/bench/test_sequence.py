"""The article's way is made from what `up` made: the same things, one after another."""

from __future__ import annotations

import base64
import json
import os
from typing import Any

import pytest
import yaml

from bench.environments import stack_environment
from bench.figures import turns
from bench.platform import environment_file, rows
from bench.sequence import SECRET, after_joining, before_joining, in_clear, joined, left_out, read_state

MARK = "1b47061264138c4ac30d75fd1eb44270"


def resource(types: str, name: str, inputs: dict[str, Any], cluster: str = "") -> dict[str, Any]:
    urn = f"urn:pulumi:bench::multicluster-dapr::{types}::{name}"
    provider = (
        f"urn:pulumi:bench::p::x$pulumi:providers:kubernetes::{cluster}-kubernetes::id" if cluster else ""
    )
    return {"urn": urn, "inputs": inputs, "provider": provider}


def secret(value: Any) -> dict[str, str]:
    return {SECRET: MARK, "plaintext": json.dumps(value)}


def config(token: str) -> str:
    text = yaml.safe_dump({"clusters": [{"cluster": {}}], "users": [{"user": {"token": token}}]})
    return base64.b64encode(text.encode()).decode()


STATE = {
    "deployment": {
        "resources": [
            resource(
                "c:cluster:K3dCluster$command:local:Command",
                "east-k3d",
                {"create": "components/k3d.sh create east x=y", "delete": "d", "stdin": "the config"},
            ),
            resource(
                "c:image:ImageImport$command:local:Command",
                "east-images-k3d",
                {"create": "k3d.sh import east i"},
            ),
            resource(
                "c:mesh:Crds$kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition",
                "east-crds-clusters",
                {"kind": "CustomResourceDefinition", "metadata": {"name": "clusters"}, "__defaults": []},
                "east",
            ),
            resource(
                "c:mesh:ClusterMembership$kubernetes:core/v1:Secret",
                "east-membership-bootstrap-credential",
                {"kind": "Secret", "data": secret({"kubeconfig": config("of an earlier run")})},
                "plane",
            ),
            resource(
                "c:mesh:ClusterMembership$c:mesh:KeptToken$kubernetes:core/v1:Secret",
                "east-membership-kept-secret",
                {"kind": "Secret", "metadata": {"name": "east-hub-token"}},
                "plane",
            ),
            resource(
                "c:app:App$kubernetes:apps/v1:Deployment",
                "east-nodeapp",
                {"kind": "Deployment", "metadata": {"name": "nodeapp", "namespace": "apps"}},
                "east",
            ),
        ]
    }
}


def test_a_resource_knows_its_component_its_cluster_and_its_manifest() -> None:
    crd = read_state(STATE)[2]
    assert (crd.component, crd.cluster) == ("Crds", "east")
    assert crd.manifest == {"kind": "CustomResourceDefinition", "metadata": {"name": "clusters"}}


def test_secrets_are_read_wherever_they_are() -> None:
    assert in_clear({"a": [secret({"b": secret("c")})]}) == {"a": [{"b": "c"}]}


def test_clusters_come_first_then_the_mesh_of_each() -> None:
    steps = before_joining(read_state(STATE), ["east"])
    assert [step.title for step in steps] == [
        "create east",
        "images of east",
        "CRDs in east",
        "wait for crd in east",
        "mesh in east",
        "wait for deployment in east",
    ]
    assert steps[0].stdin == "the config"
    assert steps[0].gives == "east"


def test_a_member_joins_with_the_token_that_counts_now() -> None:
    token = {"ca.crt": "Q0E=", "token": base64.b64encode(b"fresh").decode()}
    step = joined(read_state(STATE), "plane", "east", token)
    assert step.cluster == "plane"
    credential, kept = json.loads(step.stdin)["items"]
    assert kept == {"kind": "Secret", "metadata": {"name": "east-hub-token"}}, "the hub fills it"
    data = credential["data"]["kubeconfig"]
    assert yaml.safe_load(base64.b64decode(data))["users"] == [{"user": {"token": "fresh"}}]


def test_what_a_component_of_components_makes_is_found_by_its_own_component() -> None:
    types = "c:index:Mesh$c:mesh:ClusterMembership$c:mesh:HubIdentity$kubernetes:core/v1:ServiceAccount"
    made = read_state(
        {"deployment": {"resources": [resource(types, "a", {"kind": "ServiceAccount"}, "east")]}}
    )
    assert made[0].component == "ClusterMembership"


def test_an_object_that_no_step_makes_is_named() -> None:
    made = read_state(STATE)
    token = {"ca.crt": "", "token": ""}
    steps = [
        *before_joining(made, ["east"]), joined(made, "plane", "east", token),
        *after_joining(made, "plane", ["east"], "/redis.conf"),
    ]  # fmt: skip
    assert left_out(made, steps) == []
    assert left_out(made, steps[:-2]) == ["east-nodeapp in east"]


def test_apps_are_waited_for_and_what_a_member_does_not_have_is_no_step() -> None:
    titles = [step.title for step in after_joining(read_state(STATE), "plane", ["east"], "/redis.conf")]
    assert titles == ["apps in east", "wait for deployment/nodeapp in east"]


def test_the_environment_of_the_benchmark_meets_no_other() -> None:
    article = {
        "config": {
            "multicluster-dapr:clusters": [{"name": "one", "apiPort": 6444, "httpPort": 80}],
            "multicluster-dapr:apps": [{"app": "nodeapp", "clusters": ["one"]}],
            "multicluster-dapr:exports": [],
        }
    }
    made = environment_file(article)["config"]
    assert made["multicluster-dapr:clusters"] == [{"name": "bench-one", "apiPort": 17444, "httpPort": 18080}]
    assert made["multicluster-dapr:apps"][0]["clusters"] == ["bench-one"]
    assert article["config"]["multicluster-dapr:clusters"][0]["name"] == "one", "the original stays as it is"


def test_up_is_compared_with_the_articles_steps() -> None:
    found = {"up": [10.0, 20.0], "article": [30.0, 60.0], "unchanged": [1.0], "destroy": [2.0]}
    first, *others = rows(found, {4: [5.0, 6.0]})
    assert turns(first) == {"the article's steps": [3.0, 3.0]}
    assert [row.figure for row in others] == [
        "up",
        "the article's steps",
        "a second up",
        "destroy",
        "preview",
    ]


def test_what_stack_env_prints_becomes_a_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/bin")
    found = stack_environment("export PATH='/a folder:/bin'\nexport PULUMI_STACK=bench\n")
    assert (found["PATH"], found["PULUMI_STACK"]) == ("/a folder:/bin", "bench")
    assert found.keys() == os.environ.keys() | {"PULUMI_STACK"}
