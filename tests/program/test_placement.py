"""Gateways, controllers and the hub as the owner of a cluster wants them to run."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from config.environments import read_environment

from components.mesh.placement import HOST, Pods, Published, placed
from gateway.core.limits import Limits
from stacks.config import loading

WORKLOADS = ("hub-gateway", "hub-controller", "hub-hub", "east-gateway", "east-controller")
TEMPLATE = {
    "metadata": {"labels": {"app": "gateway"}, "annotations": {"digest": "1"}},
    "spec": {"containers": [{"name": "gateway", "resources": {"limits": {"memory": "256Mi"}}}]},
}


def test_nothing_said_changes_nothing_of_a_single_pod() -> None:
    assert placed(TEMPLATE, Pods(), replicas=1) == TEMPLATE


def test_several_pods_are_spread_over_nodes_unless_something_else_is_said() -> None:
    (spread,) = placed(TEMPLATE, Pods(), replicas=2)["spec"]["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == (HOST, "ScheduleAnyway")
    assert spread["labelSelector"] == {"matchLabels": {"app": "gateway"}}
    zones = {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}
    (spread,) = placed(TEMPLATE, Pods(spread=[zones]), replicas=2)["spec"]["topologySpreadConstraints"]
    assert spread == {**zones, "labelSelector": {"matchLabels": {"app": "gateway"}}}
    assert "topologySpreadConstraints" not in placed(TEMPLATE, Pods(spread=[]), replicas=2)["spec"]


def test_what_is_said_of_pods_stands_in_their_spec() -> None:
    pods = Pods(
        node_selector={"pool": "edge"},
        tolerations=[{"operator": "Exists"}],
        affinity={"podAffinity": {}},
        resources={"requests": {"cpu": "1"}},
        priority_class="high",
        labels={"team": "edge", "app": "other"},
        annotations={"note": "x", "digest": "other"},
        pull_secret="login",
    )
    template = placed(TEMPLATE, pods, replicas=1)
    assert template["metadata"] == {
        "labels": {"team": "edge", "app": "gateway"},
        "annotations": {"note": "x", "digest": "1"},
    }, "what selects the pods, and restarts them, is ours"
    assert template["spec"] == {
        "containers": [{"name": "gateway", "resources": {"requests": {"cpu": "1"}}}],
        "nodeSelector": {"pool": "edge"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"podAffinity": {}},
        "priorityClassName": "high",
        "imagePullSecrets": [{"name": "login"}],
    }


def test_what_is_said_of_the_service_stands_in_its_spec() -> None:
    assert Published().spec({"type": "LoadBalancer"}) == {"type": "LoadBalancer"}
    said = Published(
        load_balancer_class="internal",
        load_balancer_address="192.0.2.7",
        ip_family_policy="PreferDualStack",
        ip_families=("IPv6", "IPv4"),
    )
    assert said.spec({"type": "LoadBalancer"}) == {
        "type": "LoadBalancer",
        "loadBalancerClass": "internal",
        "loadBalancerIP": "192.0.2.7",
        "ipFamilyPolicy": "PreferDualStack",
        "ipFamilies": ["IPv6", "IPv4"],
    }


def deployment(recorder: Any, workload: str) -> dict[str, Any]:
    spec: dict[str, Any] = recorder.find(f"{workload}-deployment").inputs["spec"]
    return spec


@pytest.mark.parametrize("workload", WORKLOADS)
def test_in_clusters_that_exist_a_drain_leaves_one_of_two_pods(run: Any, workload: str) -> None:
    recorder = run("existing")
    spec = deployment(recorder, workload)
    assert spec["replicas"] == 2
    assert spec["template"]["spec"]["topologySpreadConstraints"]
    budget = recorder.find(f"{workload}-disruption-budget").inputs["spec"]
    assert budget == {"maxUnavailable": 1, "selector": spec["selector"]}


def test_in_clusters_made_here_one_pod_may_be_drained(run: Any) -> None:
    recorder = run()
    assert deployment(recorder, "cluster-1-gateway")["replicas"] == 1
    assert not [r for r in recorder.registered if r.type.endswith("PodDisruptionBudget")]


def said(config: dict[str, Any]) -> None:
    config["gateway"] = {
        "replicas": 3, "logLevel": "debug", "limits": {"idle_seconds": 30, "body_bytes": 1073741824},
        "pods": {"nodeSelector": {"pool": "edge"}}, "service": {"annotations": {"lb": "internal"}},
        "autoscaler": {"maxReplicas": 6, "cpuPercent": 50},
    }  # fmt: skip
    config["clusters"][1]["clusterDomain"] = "east.example"


def test_the_settings_reach_every_pod_of_the_mesh(run: Any) -> None:
    recorder = run("existing", said)
    for workload in WORKLOADS:
        pod = deployment(recorder, workload)["template"]["spec"]
        assert pod["nodeSelector"] == {"pool": "edge"}
        assert "--log-level=debug" in pod["containers"][0]["args"]
    arguments = deployment(recorder, "east-gateway")["template"]["spec"]["containers"][0]["args"]
    assert {"--limit=idle_seconds=30", "--limit=body_bytes=1073741824"} <= set(arguments)
    assert "--cluster-domain=east.example" in arguments
    assert (
        "--cluster-domain=east.example"
        in (deployment(recorder, "east-controller")["template"]["spec"]["containers"][0]["args"])
    )
    assert recorder.find("east-gateway-service").inputs["metadata"]["annotations"]["lb"] == "internal"


def test_an_autoscaler_has_the_last_word_on_the_number_of_gateways(run: Any) -> None:
    recorder = run("existing", said)
    assert "replicas" not in deployment(recorder, "east-gateway")
    spec = recorder.find("east-gateway-autoscaler").inputs["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 6)
    assert spec["scaleTargetRef"]["name"] == "gateway"
    assert spec["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 50}


LOGIN = {"auths": {"registry.example.org": {"auth": "bWU6c2VjcmV0"}, "other": {"auth": "bm90IHRoaXM="}}}


def test_nodes_pull_with_the_login_of_the_settings(run: Any, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(str(LOGIN).replace("'", '"'))

    def logged_in(config: dict[str, Any]) -> None:
        config["images"]["dockerConfig"] = str(tmp_path / "config.json")

    recorder = run("existing", logged_in)
    secret = recorder.find("east-gateway-pull-secret")
    assert "bWU6c2VjcmV0" in str(secret.inputs)
    assert "bm90IHRoaXM=" not in str(secret.inputs), "other logins of the file are none of the cluster's"
    assert "bWU6c2VjcmV0" not in str(secret.in_clear)
    for workload in WORKLOADS:
        pod = deployment(recorder, workload)["template"]["spec"]
        assert pod["imagePullSecrets"] == [{"name": "registry-login"}]


def test_every_bound_of_the_gateway_can_be_set_by_its_name() -> None:
    limits = {field.name: 60 for field in fields(Limits)}
    assert loading.parse({**read_environment("dev"), "gateway": {"limits": limits}}).gateway.limits == limits
