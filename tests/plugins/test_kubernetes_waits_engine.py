"""What the kubernetes provider waits for, under the real engine; the API server has no nodes."""

from pathlib import Path

import pytest

from plugins.cluster import Cluster
from plugins.engine import Engine

pytestmark = pytest.mark.e2e

# Objects that never get ready, one that never goes away, and Services that need no pod.
PROGRAM = """
web = {"app": "web"}
template = {"metadata": {"labels": web}, "spec": {"containers": [{"name": "web", "image": "none"}]}}
once = {**template, "spec": {**template["spec"], "restartPolicy": "Never"}}
selected = {"selector": {"matchLabels": web}, "template": template}
timeouts = pulumi.CustomTimeouts(create="2s", update="2s", delete="2s")
soon = pulumi.ResourceOptions(provider=provider, custom_timeouts=timeouts)
k8s.apps.v1.Deployment("web", metadata={"name": "web", **place}, spec={"replicas": 1, **selected}, opts=soon)
k8s.apps.v1.StatefulSet("set", metadata=place, spec={**selected, "serviceName": "web"}, opts=soon)
k8s.batch.v1.Job("job", metadata=place, spec={"template": once}, opts=soon)
k8s.core.v1.Pod("pod", metadata=place, spec=template["spec"], opts=soon)
k8s.apps.v1.DaemonSet("daemons", metadata=place, spec=selected, opts=soon)

def service(name, opts, type="ClusterIP", **annotations):
    annotations = {f"pulumi.com/{key}": value for key, value in annotations.items()}
    metadata = {"name": name, **place, "annotations": annotations}
    spec = {"type": type, "selector": {"a": "b"}, "ports": [{"port": 80}]}
    k8s.core.v1.Service(name, metadata=metadata, spec=spec, opts=opts)

service("balanced", soon, type="LoadBalancer")
service("settles", opts)
service("skips", soon, skipAwait="true")
service("waits", soon, waitFor="jsonpath={.spec.clusterIP}")
held = {"name": "held", "finalizers": ["cases.test/held"], **place}
k8s.core.v1.ConfigMap("held", metadata=held, opts=soon)
k8s.core.v1.ConfigMap("free", metadata={"name": "free", **place}, opts=opts)
"""
UNREADY = ("web", "set", "job", "pod", "balanced")


def test_what_does_not_get_ready_or_go_away_stays_in_the_state(
    engine: Engine, cluster: Cluster, tmp_path: Path
) -> None:
    stack = engine.stack(tmp_path / "never", cluster.program(PROGRAM))
    failed = stack.up("--continue-on-error", check=False)
    assert failed.status != 0
    assert "Traceback" not in failed.output
    for text in (
        "'web' timed out waiting to be Ready",
        "inimum",
        "0 out of 1 replicas succeeded readiness checks",
        "to succeed",
        "Waiting for Pod",
        "Service was not allocated an IP address",
    ):
        assert text in failed.output, failed.output
    states = {one["urn"].rpartition("::")[2]: one for one in stack.resources()}
    assert states["web"]["id"] == f"{cluster.namespace}/web"
    assert {name for name, state in states.items() if state.get("initErrors")} == set(UNREADY), (
        "no node, so no pod of the DaemonSet is missing; the other Services wait for no pod"
    )
    again = stack.up("--continue-on-error", check=False)
    assert again.status != 0, "the next run must try again although nothing changed"
    assert "0/1 Pods available" in stack.refresh().output, "a refresh says what is still missing"
    assert stack.state("web")["initErrors"]

    cluster.kubectl("delete", "configmap", "free", "-n", cluster.namespace)
    stuck = stack.destroy("--continue-on-error", check=False)
    assert stuck.status != 0
    assert "timed out waiting" in stuck.output, stuck.output
    left = {one["urn"].rpartition("::")[2] for one in stack.resources()}
    assert "held" in left
    assert "free" not in left, "that it was gone already is no error"
    patch = '{"metadata": {"finalizers": null}}'
    cluster.kubectl("patch", "configmap", "held", "-n", cluster.namespace, "--type=merge", "-p", patch)
    stack.destroy()


INTERRUPTED = """
from pulumi_command import local

web = {"app": "web"}
template = {"metadata": {"labels": web}, "spec": {"containers": [{"name": "web", "image": "none"}]}}
spec = {"replicas": 1, "selector": {"matchLabels": web}, "template": template}
k8s.apps.v1.Deployment("web", metadata={"name": "web", **place}, spec=spec, opts=opts)
local.Command("long", create="touch started; exec sleep 600")
"""


def test_an_interrupt_ends_waits_and_commands_without_a_traceback(
    engine: Engine, cluster: Cluster, tmp_path: Path
) -> None:
    stack = engine.stack(tmp_path / "interrupt", cluster.program(INTERRUPTED))

    def waiting() -> bool:
        made = cluster.kubectl("get", "deployment", "-n", cluster.namespace, "-o", "name")
        return bool(made) and (stack.folder / "started").exists()

    done = stack.interrupted_up(waiting)
    assert done.status != 0
    assert "was cancelled" in done.output, done.output
    assert "signal: killed" in done.output, done.output
    assert "Traceback" not in done.output, done.output
    assert "KeyboardInterrupt" not in done.output, done.output
    assert stack.state("web")["id"] == f"{cluster.namespace}/web"
    stack.destroy()
