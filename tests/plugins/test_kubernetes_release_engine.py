"""Helm releases by the kubernetes stand-in, under the real engine."""

from pathlib import Path

import pytest
from plugins.cluster import Cluster
from plugins.engine import Engine, Stack

pytestmark = pytest.mark.e2e


def _release(stack: Stack, chart: Path) -> None:
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text('apiVersion: v2\nname: cases\nversion: 1.2.3\nappVersion: "9.8"\n')
    (chart / "values.yaml").write_text('text: default\npassword: ""\njob: false\n')
    (chart / "templates" / "objects.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-config\n"
        "data:\n  text: {{ .Values.text | quote }}\n---\n"
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {{ .Release.Name }}-secret\n"
        "  namespace: {{ .Release.Namespace }}\nstringData:\n  password: {{ .Values.password | quote }}\n"
        "{{ if .Values.job }}---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: never\nspec:\n"
        "  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}}\n"
        "    spec: {containers: [{name: a, image: none}]}\n{{ end }}"
    )


def test_a_release_is_installed_upgraded_mended_and_removed(
    engine: Engine, cluster: Cluster, tmp_path: Path
) -> None:
    body = """
release = k8s.helm.v3.Release(
    "cases",
    name="cases",
    chart="{chart}",
    namespace=namespace.metadata["name"],
    values={{"text": "{text}", "password": pulumi.Output.secret("hunter2-helm"), "job": {job}}},
    timeout={timeout},
    opts=opts,
)
pulumi.export("status", release.status)
pulumi.export("names", release.resource_names)
"""
    chart = tmp_path / "chart"
    broken = cluster.program(body.format(chart=chart, text="one", job=True, timeout=3))
    stack = engine.stack(tmp_path / "release", broken)
    _release(stack, chart)
    failed = stack.up(check=False)
    assert failed.status != 0
    assert "was created, but failed to initialize completely" in failed.output, failed.output
    stack.program(cluster.program(body.format(chart=chart, text="one", job=False, timeout=30)))
    stack.up()
    outputs = stack.outputs()
    assert outputs["status"]["status"] == "deployed"
    assert outputs["status"]["revision"] == 2
    assert outputs["names"] == {
        "ConfigMap/v1": ["cases-config"],
        "Secret/v1": [f"{cluster.namespace}/cases-secret"],
    }
    assert stack.state("cases")["id"] == f"{cluster.namespace}/cases"
    assert "hunter2" not in str(stack.resources(clear=False))
    assert stack.changed() == {}
    stack.refresh()
    assert stack.changed() == {}
    stack.program(cluster.program(body.format(chart=chart, text="two", job=False, timeout=30)))
    assert stack.steps()["cases"]["diff"] == {"values.text": "update"}
    stack.up()
    assert cluster.get("configmap", "cases-config")["data"] == {"text": "two"}
    stack.destroy()
    assert cluster.kubectl("get", "ns", cluster.namespace, "--ignore-not-found") == ""


def test_a_missing_chart_is_a_fault_of_the_argument(engine: Engine, cluster: Cluster, tmp_path: Path) -> None:
    body = """
k8s.helm.v3.Release("none", chart="./nowhere", namespace="default", opts=opts)
"""
    stack = engine.stack(tmp_path / "nochart", cluster.program(body))
    refused = stack.run("preview", check=False)
    assert refused.status != 0
    assert "check the chart name and repository configuration" in refused.output
