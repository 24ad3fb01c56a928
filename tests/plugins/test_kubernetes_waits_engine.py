"""What the kubernetes stand-in waits for, under the real engine; the API server has no nodes."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from plugins.cluster import Cluster
from plugins.engine import OFFICIAL, Engine

pytestmark = pytest.mark.e2e

NEVER_READY = """
web = {{"app": "web"}}
k8s.apps.v1.Deployment(
    "web",
    metadata={{"name": "web", **place}},
    spec={{
        "replicas": 1,
        "selector": {{"matchLabels": web}},
        "template": {{
            "metadata": {{"labels": web}},
            "spec": {{"containers": [{{"name": "web", "image": "none"}}]}},
        }},
    }},
    opts=pulumi.ResourceOptions(provider=provider, custom_timeouts=pulumi.CustomTimeouts({timeouts})),
)
"""


def test_a_deployment_that_never_gets_ready_stays_in_the_state(
    engine: Engine, cluster: Cluster, tmp_path: Path
) -> None:
    body = NEVER_READY.format(timeouts='create="3s", update="3s"')
    stack = engine.stack(tmp_path / "never", cluster.program(body))
    failed = stack.up(check=False)
    assert failed.status != 0
    assert "'web' timed out waiting to be Ready" in failed.output
    assert "Minimum" in failed.output or "minimum" in failed.output, failed.output
    assert "Traceback" not in failed.output
    state = stack.state("web")
    assert state["id"] == f"{cluster.namespace}/web"
    assert state["initErrors"]
    again = stack.up(check=False)
    assert again.status != 0, "the next run must try again although nothing changed"
    assert "0/1 Pods available" in stack.refresh().output, "a refresh says what is still missing"
    assert stack.state("web")["initErrors"]
    cluster.kubectl("scale", "deployment/web", "-n", cluster.namespace, "--replicas=0")
    stack.destroy()


NEVER_READY_KINDS = """
web = {"app": "web"}
template = {"metadata": {"labels": web}, "spec": {"containers": [{"name": "web", "image": "none"}]}}
once = {**template, "spec": {**template["spec"], "restartPolicy": "Never"}}
selected = {"selector": {"matchLabels": web}, "template": template}
opts = pulumi.ResourceOptions(provider=provider, custom_timeouts=pulumi.CustomTimeouts(create="2s"))
k8s.apps.v1.StatefulSet("set", metadata=place, spec={**selected, "serviceName": "web"}, opts=opts)
k8s.batch.v1.Job("job", metadata=place, spec={"template": once}, opts=opts)
k8s.core.v1.Pod("pod", metadata=place, spec=template["spec"], opts=opts)
balanced = {"type": "LoadBalancer", "selector": web, "ports": [{"port": 80}]}
k8s.core.v1.Service("balanced", metadata=place, spec=balanced, opts=opts)
k8s.apps.v1.DaemonSet("daemons", metadata=place, spec=selected, opts=opts)
"""


def test_each_kind_says_what_it_waited_for(engine: Engine, cluster: Cluster, tmp_path: Path) -> None:
    stack = engine.stack(tmp_path / "kinds", cluster.program(NEVER_READY_KINDS))
    failed = stack.up("--continue-on-error", check=False)
    assert failed.status != 0
    for text in (
        "Waiting for StatefulSet to be ready (0/1 Pods ready)",
        "to succeed",
        "Waiting for Pod to be PodScheduled",
        "Service was not allocated an IP address",
    ):
        assert text in failed.output, failed.output
    assert "initErrors" not in stack.state("daemons"), "no node, so no pod of it is missing"
    for name in ("set", "job", "pod", "balanced"):
        assert stack.state(name)["initErrors"], name
    stack.destroy()


def test_an_interrupt_ends_the_wait_and_keeps_the_object(
    engine: Engine, cluster: Cluster, tmp_path: Path
) -> None:
    stack = engine.stack(tmp_path / "interrupt", cluster.program(NEVER_READY.format(timeouts='create="5m"')))
    process = subprocess.Popen(
        stack.command("up", "--yes", "--skip-preview"),
        cwd=stack.folder,
        env=stack.engine.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if cluster.kubectl("get", "deployment", "-n", cluster.namespace, "--ignore-not-found"):
            break
        time.sleep(0.3)
    time.sleep(1)
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert "was cancelled" in output, output
    assert "Traceback" not in output, output
    assert stack.state("web")["id"] == f"{cluster.namespace}/web"
    stack.destroy()


def test_what_does_not_go_away_stays_in_the_state(engine: Engine, cluster: Cluster, tmp_path: Path) -> None:
    body = """
held = {"name": "held", "finalizers": ["cases.test/held"], **place}
timeouts = pulumi.CustomTimeouts(delete="2s")
held_opts = pulumi.ResourceOptions(provider=provider, custom_timeouts=timeouts)
k8s.core.v1.ConfigMap("held", metadata=held, opts=held_opts)
k8s.core.v1.ConfigMap("free", metadata={"name": "free", **place}, opts=opts)
"""
    stack = engine.stack(tmp_path / "held", cluster.program(body))
    stack.up()
    cluster.kubectl("delete", "configmap", "free", "-n", cluster.namespace)
    stuck = stack.destroy(check=False)
    assert "'held' timed out waiting to be deleted" in stuck.output
    assert "cases.test/held" in stuck.output, "the finalizer in the way is named"
    assert stack.state("held")["id"] == f"{cluster.namespace}/held"
    with pytest.raises(KeyError):
        stack.state("free")  # that it was gone already is no error
    patch = '{"metadata": {"finalizers": null}}'
    cluster.kubectl("patch", "configmap", "held", "-n", cluster.namespace, "--type=merge", "-p", patch)
    stack.destroy()


@pytest.mark.skipif(bool(OFFICIAL), reason="the official plugin covers everything")
def test_a_service_without_pods_settles_and_a_wait_can_be_skipped(
    engine: Engine, cluster: Cluster, tmp_path: Path
) -> None:
    body = """
def service(name, annotations):
    metadata = {"name": name, **place, "annotations": annotations}
    spec = {"selector": {"a": "b"}, "ports": [{"port": 80}]}
    k8s.core.v1.Service(name, metadata=metadata, spec=spec, opts=opts)

service("settles", {})
service("skips", {"pulumi.com/skipAwait": "true"})
service("waits", {"pulumi.com/waitFor": "jsonpath={.spec.clusterIP}"})
"""
    stack = engine.stack(tmp_path / "service", cluster.program(body))
    began = time.monotonic()
    stack.up()
    assert time.monotonic() - began > 10, "endpoints must be quiet for ten seconds"
    assert stack.changed() == {}
    stack.destroy()
