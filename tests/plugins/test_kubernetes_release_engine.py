"""Helm releases by the kubernetes provider, under the real engine."""

from pathlib import Path

import pytest

from plugins.cluster import Cluster
from plugins.engine import Engine

pytestmark = pytest.mark.e2e

OBJECTS = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-config
data:
  text: {{ .Values.text | quote }}
---
apiVersion: v1
kind: Secret
metadata:
  name: {{ .Release.Name }}-secret
  namespace: {{ .Release.Namespace }}
stringData:
  password: {{ .Values.password | quote }}
{{ if .Values.never }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: never
spec:
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec: {containers: [{name: a, image: none}]}
{{ end }}
"""


def _chart(folder: Path) -> Path:
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text('apiVersion: v2\nname: cases\nversion: 1.2.3\nappVersion: "9.8"\n')
    (folder / "values.yaml").write_text('text: default\npassword: ""\nnever: false\n')
    (folder / "templates" / "objects.yaml").write_text(OBJECTS)
    return folder


def test_a_failed_release_is_recovered_upgraded_and_removed(
    engine: Engine, cluster: Cluster, tmp_path: Path
) -> None:
    body = """
release = k8s.helm.v3.Release(
    "cases",
    name="cases",
    chart="{chart}",
    namespace=namespace.metadata["name"],
    values={{"text": "{text}", "password": pulumi.Output.secret("hunter2-helm"), "never": {never}}},
    timeout={timeout},
    opts=opts,
)
pulumi.export("status", release.status)
pulumi.export("names", release.resource_names)
"""
    chart = _chart(tmp_path / "chart")
    missing = body.format(chart="./nowhere", text="one", never=True, timeout=3)
    stack = engine.stack(tmp_path / "release", cluster.program(missing))
    refused = stack.run("preview", check=False)
    assert refused.status != 0
    assert "check the chart name and repository configuration" in refused.output
    stack.program(cluster.program(body.format(chart=chart, text="one", never=True, timeout=3)))
    failed = stack.up(check=False)
    assert failed.status != 0
    assert "was created, but failed to initialize completely" in failed.output, failed.output
    stack.program(cluster.program(body.format(chart=chart, text="two", never=False, timeout=30)))
    stack.up()
    outputs = stack.outputs()
    assert outputs["status"]["status"] == "deployed"
    assert outputs["status"]["revision"] == 2
    assert outputs["names"] == {
        "ConfigMap/v1": ["cases-config"],
        "Secret/v1": [f"{cluster.namespace}/cases-secret"],
    }
    assert cluster.get("configmap", "cases-config")["data"] == {"text": "two"}
    assert stack.state("cases")["id"] == f"{cluster.namespace}/cases"
    assert "hunter2" not in str(stack.resources())
    stack.refresh()
    assert stack.changed() == {}
    stack.program(cluster.program(body.format(chart=chart, text="three", never=False, timeout=30)))
    assert stack.steps()["cases"]["diff"] == {"values.text": "update"}
    stack.destroy()
    assert cluster.kubectl("get", "ns", cluster.namespace, "--ignore-not-found") == ""
