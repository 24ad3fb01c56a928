"""How a Prometheus finds the pods of a mesh and reaches them, in the graph."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from program.conftest import Recorder
from program.test_mutual_tls import mesh as mesh_fixture

from gateway.options import add_tracing

mesh = mesh_fixture
SCRAPED = {"prometheus.io/scrape": "true", "prometheus.io/port": "9090", "prometheus.io/path": "/metrics"}
PARTS = ("hub-gateway", "hub-controller", "hub-hub", "east-gateway", "east-controller")


def annotations(recorder: Recorder, name: str) -> dict[str, str]:
    template = recorder.find(f"{name}-deployment").inputs["spec"]["template"]
    found: dict[str, str] = template["metadata"]["annotations"]
    return found


def test_nothing_says_where_metrics_are_unless_it_is_told(mesh: Callable[..., Recorder]) -> None:
    recorder = mesh()
    assert not any(SCRAPED.keys() & annotations(recorder, name).keys() for name in PARTS)
    assert not [one for one in recorder.registered if "PodMonitor" in one.type]


def test_every_pod_says_by_annotations_where_it_is_scraped(mesh: Callable[..., Recorder]) -> None:
    own = {"team": "mesh", "prometheus.io/path": "/elsewhere"}
    recorder = mesh(metrics={"annotations": True}, pods={"annotations": own})
    for name in PARTS:
        said = annotations(recorder, name)
        assert {key: said[key] for key in SCRAPED} == {**SCRAPED, "prometheus.io/path": "/elsewhere"}
        assert said["team"] == "mesh", "what the owner says counts"


def test_a_pod_monitor_names_the_admin_port_of_every_pod_and_of_no_other(
    mesh: Callable[..., Recorder],
) -> None:
    recorder = mesh(metrics={"pod_monitor": True, "pod_monitor_labels": {"release": "prometheus"}})
    found = [
        one for one in recorder.registered if one.type == "kubernetes:monitoring.coreos.com/v1:PodMonitor"
    ]
    assert sorted(one.provider for one in found) == ["east", "hub"]
    for one in found:
        assert one.inputs["metadata"] == {
            "name": "multicluster", "namespace": "multicluster-system", "labels": {"release": "prometheus"},
        }  # fmt: skip
        (rule,) = one.inputs["spec"]["selector"]["matchExpressions"]
        (endpoint,) = one.inputs["spec"]["podMetricsEndpoints"]
        assert endpoint == {"port": "admin", "path": "/metrics", "honorLabels": True}
        for name in PARTS:
            template = recorder.find(f"{name}-deployment").inputs["spec"]["template"]
            assert template["metadata"]["labels"][rule["key"]] in rule["values"]
            ports = template["spec"]["containers"][0]["ports"]
            assert {"name": "admin", "containerPort": 9090, "protocol": "TCP"} in ports


def test_the_policy_of_the_admin_port_lets_the_scrapers_namespaces_in(mesh: Callable[..., Recorder]) -> None:
    recorder = mesh(metrics={"namespaces": ["monitoring"]}, east={"admin_from": ["192.0.2.0/24"]})
    policies = [one.inputs["spec"] for one in recorder.registered if one.type.endswith(":NetworkPolicy")]
    (spec,) = policies
    _, readers = spec["ingress"]
    assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}} in readers[
        "from"
    ]
    assert readers["ports"] == [{"protocol": "TCP", "port": 9090}]


def test_gateways_alone_send_spans(run: Any, mesh: Callable[..., Recorder]) -> None:
    said = {"endpoint": "http://otel.watch:4318", "sampling": 0.25}
    recorder = run("dev", lambda config: config.update(gateway={"tracing": said}))
    wanted = ["--tracing-endpoint=http://otel.watch:4318", "--tracing-sampling=0.25"]
    for name in ("control-plane-gateway", "cluster-1-gateway", "cluster-1-controller", "control-plane-hub"):
        template = recorder.find(f"{name}-deployment").inputs["spec"]["template"]
        arguments = [one for one in template["spec"]["containers"][0]["args"] if "tracing" in one]
        assert arguments == (wanted if name.endswith("-gateway") else [])
    parser = argparse.ArgumentParser()
    add_tracing(parser)
    assert parser.parse_args(wanted).tracing_sampling == 0.25, "as the gateway reads it"
    own = mesh(tracing={"endpoint": "http://otel.watch:4318"}).find("east-gateway-deployment").inputs["spec"]
    assert "--tracing-sampling=0.01" in own["template"]["spec"]["containers"][0]["args"]


def test_the_settings_reach_the_mesh(run: Any) -> None:
    said = {
        "annotations": True, "podMonitor": True, "podMonitorLabels": {"release": "x"},
        "namespaces": ["watch"],
    }  # fmt: skip
    recorder = run("dev", lambda config: config.update(gateway={"metrics": said}))
    assert SCRAPED.items() <= annotations(recorder, "cluster-1-gateway").items()
    monitors = [
        one for one in recorder.registered if one.type.endswith(":PodMonitor") and one.inputs.get("spec")
    ]
    assert {one.inputs["metadata"]["labels"]["release"] for one in monitors} == {"x"}
    assert len(monitors) == 4
    policies = [one.inputs["spec"] for one in recorder.registered if one.type.endswith(":NetworkPolicy")]
    readers = [
        peer["namespaceSelector"]["matchLabels"].get("kubernetes.io/metadata.name")
        for spec in policies
        for peer in spec["ingress"][1]["from"]
        if "namespaceSelector" in peer
    ]
    assert readers.count("watch") == 4
