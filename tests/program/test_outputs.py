"""What a person learns from a finished `up`."""

from __future__ import annotations

from typing import Any


def test_each_cluster_says_what_it_is_and_how_to_reach_it(run: Any) -> None:
    assert run().outputs["clusters"]["cluster-1"] == {
        "role": "member",
        "key": "default/default/default/cluster-1",
        "api": "https://172.28.0.1:6445",
        "http": "http://127.0.0.1:81",
        "kubectl": "KUBECONFIG=$(k3d kubeconfig write cluster-1) kubectl get pods -A",
    }
    west = run("existing").outputs["clusters"]["west"]
    assert west["kubectl"] == "kubectl --kubeconfig ~/.kube/config --context west get pods -A"
    assert west["api"] == "https://west.example.org:6443"


def test_the_demo_is_at_the_front_door_and_at_every_exporter(run: Any) -> None:
    assert run().outputs["demo"] == {
        "control-plane/dapr-test/nodeapp": "http://127.0.0.1:80/nodeapp",
        "cluster-1/dapr-test/nodeapp": "http://127.0.0.1:81/nodeapp",
        "cluster-3/dapr-test/nodeapp": "http://127.0.0.1:83/nodeapp",
    }
    assert "control-plane/dapr-test/nodeapp" not in run("article").outputs["demo"], "FSM has no front door"


def test_versions_and_the_origin_of_every_artifact_are_said(run: Any) -> None:
    outputs = run("article").outputs
    assert outputs["versions"]["dapr"] == "1.9.6"
    assert outputs["supply"]["mode"] == "upstream"
    assert outputs["supply"]["from"]["node"] == "docker.io/rancher/k3s:v1.23.8-k3s2"
    assert outputs["supply"]["from"]["dapr"] == "ghcr.io/dapr/*:1.9.6"
    assert outputs["supply"]["from"]["fsm"] == "https://charts.flomesh.io 0.2.1-alpha.3"


def test_what_is_between_clusters_alone_has_no_address_outside_and_its_gateways_are_told(run: Any) -> None:
    recorder = run("dev", lambda config: config["exports"][0].update(published=False))
    assert recorder.outputs["demo"] == {}
    made = recorder.find("cluster-1-dapr-test-nodeapp-export-object").inputs["metadata"]["annotations"]
    assert made["multicluster.flomesh.io/published"] == "false"
