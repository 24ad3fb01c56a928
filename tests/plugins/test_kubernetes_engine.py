"""The kubernetes stand-in under the real engine, against a real API server without nodes."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from plugins.apiserver import kube_binary
from plugins.engine import OFFICIAL, Engine, Stack

pytestmark = pytest.mark.e2e

HEAD = """
from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s

provider = k8s.Provider(
    "cluster",
    kubeconfig=pulumi.Output.secret(Path("{kubeconfig}").read_text()),
    cluster_identifier="one",
    {extra}
)
opts = pulumi.ResourceOptions(provider=provider)
namespace = k8s.core.v1.Namespace("ns", metadata={{"name": "{namespace}"}}, opts=opts)
place = {{"namespace": namespace.metadata["name"]}}
"""


class Cluster:
    """Programs for, and looks at, one namespace of the API server."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self.kubeconfig = kubeconfig
        self.namespace = namespace

    def program(self, body: str, extra: str = "") -> str:
        return HEAD.format(kubeconfig=self.kubeconfig, namespace=self.namespace, extra=extra) + body

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        argv = [kube_binary(), "kubectl", "--kubeconfig", str(self.kubeconfig), *arguments]
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return dict(json.loads(self.kubectl("get", kind, name, "-n", self.namespace, "-o", "json")))


@pytest.fixture
def cluster(kubeconfig: Path, request: pytest.FixtureRequest) -> Cluster:
    return Cluster(kubeconfig, request.node.name.replace("_", "-")[:50].rstrip("-"))


OBJECTS = """
auto = k8s.core.v1.ConfigMap("auto", metadata=place, data={{"text": "{text}"}}, opts=opts)
fixed = k8s.core.v1.ConfigMap(
    "fixed", metadata={{"name": "fixed", **place, "labels": {labels}}}, data={{"text": "{text}"}}, opts=opts
)
secret = k8s.core.v1.Secret("secret", metadata=place, string_data={{"password": "hunter2"}}, opts=opts)
account = k8s.core.v1.ServiceAccount("account", metadata=place, opts=opts)
k8s.core.v1.Secret(
    "token",
    metadata={{**place, "annotations": {{"kubernetes.io/service-account.name": account.metadata["name"]}}}},
    type="kubernetes.io/service-account-token",
    opts=opts,
)
rules = [{{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}}]
role = k8s.rbac.v1.ClusterRole("role", rules=rules, opts=opts)
k8s.rbac.v1.ClusterRoleBinding(
    "binding",
    role_ref={{
        "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role.metadata["name"],
    }},
    subjects=[{{"kind": "ServiceAccount", "name": account.metadata["name"], **place}}],
    opts=opts,
)
web = {{"app": "web"}}
limits = {{"limits": {{"memory": "64Mi"}}}}
k8s.apps.v1.Deployment(
    "web",
    metadata={{**place, "labels": {labels}}},
    spec={{
        "replicas": 0,
        "selector": {{"matchLabels": web}},
        "template": {{
            "metadata": {{"labels": web}},
            "spec": {{"containers": [{{"name": "web", "image": "web:{text}", "resources": limits}}]}},
        }},
    }},
    opts=opts,
)
headless = {{"clusterIP": "None", "selector": web, "ports": [{{"port": 80}}]}}
k8s.core.v1.Service("headless", metadata=place, spec=headless, opts=opts)
pulumi.export("auto", auto.metadata["name"])
"""


def test_objects_come_change_and_go(engine: Engine, cluster: Cluster, tmp_path: Path) -> None:
    one = cluster.program(OBJECTS.format(text="one", labels={"keep": "1", "drop": "1"}))
    stack = engine.stack(tmp_path / "objects", one)
    assert all(ops == ["create"] for ops in stack.changed().values())
    first = stack.up()
    assert "warning:" not in first.output.replace("warning: Replicas scaled to 0", ""), first.output
    name = stack.outputs()["auto"]
    assert len(name) == len("auto-") + 8
    state = stack.state("auto")
    assert state["id"] == f"{cluster.namespace}/{name}"
    assert state["outputs"]["metadata"]["annotations"] == {"pulumi.com/autonamed": "true"}
    assert state["outputs"]["__fieldManager"].startswith("pulumi-kubernetes-")
    assert state["outputs"]["__initialApiVersion"] == "v1"
    assert state["outputs"]["__inputs"]["data"] == {"text": "one"}
    assert "hunter2" not in str(stack.resources(clear=False))
    assert "aHVudGVyMi" not in str(stack.resources(clear=False))

    assert stack.changed() == {}
    refreshed = stack.refresh()
    assert "updated" not in refreshed.output, refreshed.output
    assert stack.changed() == {}

    stack.program(cluster.program(OBJECTS.format(text="two", labels={"keep": "1"})))
    steps = stack.steps()
    assert steps["auto"]["ops"] == ["replace"]
    assert steps["auto"]["diff"]["data.text"] == "update-replace"
    assert steps["fixed"]["ops"] == ["replace"]
    assert steps["fixed"]["diff"]["metadata.labels.drop"] == "delete"
    assert steps["web"]["ops"] == ["update"]
    assert steps["web"]["diff"]["spec.template.spec.containers[0].image"] == "update"
    stack.up()  # the fixed name is free for the new object only when the old one goes first
    assert cluster.get("configmap", "fixed")["data"] == {"text": "two"}
    assert stack.outputs()["auto"] != name, "a replacement made first needs a name of its own"
    deployment = stack.state("web")["outputs"]["metadata"]["name"]
    assert cluster.get("deployment", deployment)["metadata"]["labels"] == {"keep": "1"}, (
        "a label stayed behind"
    )
    assert stack.changed() == {}
    stack.destroy()
    assert cluster.kubectl("get", "ns", cluster.namespace, "--ignore-not-found") == ""


CUSTOM = """
definition = k8s.apiextensions.v1.CustomResourceDefinition(
    "things",
    metadata={{"name": "things.{group}"}},
    spec={{
        "group": "{group}",
        "scope": "Namespaced",
        "names": {{"plural": "things", "singular": "thing", "kind": "Thing"}},
        "versions": [
            {{
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {{
                    "openAPIV3Schema": {{"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
                }},
            }}
        ],
    }},
    opts=opts,
)
k8s.apiextensions.CustomResource(
    "thing",
    api_version="{group}/v1",
    kind="Thing",
    metadata={{"name": "thing", **place}},
    spec={{"weight": {weight}, "share": 0.5, "list": [1, 2]}},
    opts=opts,
)
"""


def test_a_custom_resource_may_come_with_its_definition(
    engine: Engine, cluster: Cluster, tmp_path: Path
) -> None:
    stack = engine.stack(tmp_path / "custom", cluster.program(CUSTOM.format(group="custom.test", weight=1)))
    stack.up()
    assert cluster.get("thing", "thing")["spec"] == {"weight": 1, "share": 0.5, "list": [1, 2]}
    versions = stack.state("things")["outputs"]["spec"]["versions"]
    assert versions[0]["schema"]["openAPIV3Schema"]["x_kubernetes_preserve_unknown_fields"] is True
    stack.program(cluster.program(CUSTOM.format(group="custom.test", weight=1.0)))
    assert stack.changed() == {}, "1 and 1.0 are the same number"
    stack.program(cluster.program(CUSTOM.format(group="custom.test", weight=2)))
    stack.up()
    assert cluster.get("thing", "thing")["spec"]["weight"] == 2
    stack.destroy()


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


def test_an_existing_object_is_not_adopted_unless_told_to(
    engine: Engine, cluster: Cluster, tmp_path: Path
) -> None:
    cluster.kubectl("create", "namespace", cluster.namespace)
    cluster.kubectl("create", "configmap", "there", "-n", cluster.namespace, "--from-literal=a=1")
    body = """
k8s.core.v1.ConfigMap("there", metadata={"name": "there", **place}, data={"a": "2"}, opts=opts)
"""
    stack = engine.stack(tmp_path / "existing", cluster.program(body))
    assert stack.changed()["there"] == ["create"], "the preview shows a create"
    refused = stack.up(check=False)
    assert "already exists" in refused.output
    assert "upsertExistingObjects" in refused.output
    stack.program(cluster.program(body, extra="upsert_existing_objects=True, enable_patch_force=True,"))
    stack.up()
    assert cluster.get("configmap", "there")["data"] == {"a": "2"}
    stack.destroy()


def test_a_foreign_change_is_a_conflict_until_forced(
    engine: Engine, cluster: Cluster, tmp_path: Path
) -> None:
    body = """
k8s.apps.v1.Deployment(
    "web",
    metadata={{"name": "web", **place, "annotations": {annotations}}},
    spec={{
        "replicas": 0,
        "minReadySeconds": {seconds},
        "selector": {{"matchLabels": {{"app": "web"}}}},
        "template": {{
            "metadata": {{"labels": {{"app": "web"}}}},
            "spec": {{"containers": [{{"name": "web", "image": "web"}}]}},
        }},
    }},
    opts=opts,
)
"""
    stack = engine.stack(tmp_path / "conflict", cluster.program(body.format(annotations={}, seconds=1)))
    stack.up()
    stack.program(cluster.program(body.format(annotations={}, seconds=2)))
    stack.up()
    patch = json.dumps(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {"minReadySeconds": 9},
        }
    )
    cluster.kubectl(
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=other",
        "-n",
        cluster.namespace,
        "-f",
        "-",
        stdin=patch,
    )
    stack.program(cluster.program(body.format(annotations={}, seconds=3)))
    refused = stack.up(check=False)
    assert "conflict" in refused.output
    assert '"other"' in refused.output
    forced = {"pulumi.com/patchForce": "true"}
    stack.program(cluster.program(body.format(annotations=forced, seconds=3)))
    stack.up()
    assert cluster.get("deployment", "web")["spec"]["minReadySeconds"] == 3
    stack.destroy()


def test_a_patch_gives_its_fields_back(engine: Engine, cluster: Cluster, tmp_path: Path) -> None:
    cluster.kubectl("create", "namespace", cluster.namespace)
    cluster.kubectl("create", "configmap", "shared", "-n", cluster.namespace, "--from-literal=mine=1")
    head = cluster.program("").replace("namespace = k8s", "0 and k8s").replace("place = ", "0 and ")
    body = f"""
target = {{"name": "shared", "namespace": "{cluster.namespace}"}}
k8s.core.v1.ConfigMapPatch("patch", metadata=target, data={{"theirs": "2"}}, opts=opts)
"""
    stack = engine.stack(tmp_path / "patch", head + body)
    stack.up()
    assert cluster.get("configmap", "shared")["data"] == {"mine": "1", "theirs": "2"}
    assert stack.changed() == {}
    stack.program(head + body.replace('"theirs"', '"mine"'))
    assert "conflict" in stack.up(check=False).output, "the field of another manager is not taken unasked"
    stack.program(head + body.replace('"theirs": "2"', '"theirs": "3"'))
    assert stack.steps()["patch"]["ops"] == ["update"]
    stack.up()
    assert cluster.get("configmap", "shared")["data"] == {"mine": "1", "theirs": "3"}
    stack.destroy()
    assert cluster.get("configmap", "shared")["data"] == {"mine": "1"}


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
def test_what_is_outside_the_scope_is_refused_with_its_name(
    engine: Engine, cluster: Cluster, tmp_path: Path
) -> None:
    stack = engine.stack(tmp_path / "scope", cluster.program(""))
    for body, text in (
        (
            "k8s.networking.v1.Ingress('no', opts=opts)",
            "does not cover kubernetes:networking.k8s.io/v1:Ingress",
        ),
        ("k8s.yaml.v2.ConfigGroup('no', yaml='', opts=opts)", "does not cover the component"),
        ("k8s.yaml.ConfigGroup('no', yaml='a: b', opts=opts)", "does not cover the function"),
        ("k8s.helm.v3.Release('no', chart='x', atomic=True, opts=opts)", "Release argument 'atomic'"),
    ):
        stack.program(cluster.program(body))
        refused = stack.run("preview", check=False)
        assert refused.status != 0
        assert text in refused.output, refused.output


def test_refresh_sees_drift_and_what_is_gone(engine: Engine, cluster: Cluster, tmp_path: Path) -> None:
    body = """
k8s.core.v1.ConfigMap("a", metadata={"name": "a", **place}, data={"x": "1"}, opts=opts)
k8s.core.v1.ConfigMap("b", metadata={"name": "b", **place}, data={"x": "1"}, opts=opts)
"""
    stack = engine.stack(tmp_path / "drift", cluster.program(body))
    stack.up()
    cluster.kubectl(
        "patch", "configmap", "a", "-n", cluster.namespace, "--type=merge", "-p", '{"data":{"x":"7"}}'
    )
    cluster.kubectl("delete", "configmap", "b", "-n", cluster.namespace)
    stack.refresh()
    assert stack.state("a")["outputs"]["data"] == {"x": "7"}
    steps = stack.changed()
    assert "replace" in steps["a"]
    assert steps["b"] == ["create"]
    stack.up()
    assert cluster.get("configmap", "a")["data"] == {"x": "1"}
    stack.destroy()


def test_objects_are_read_and_imported_by_id(engine: Engine, cluster: Cluster, tmp_path: Path) -> None:
    cluster.kubectl("create", "namespace", cluster.namespace)
    cluster.kubectl("create", "configmap", "old", "-n", cluster.namespace, "--from-literal=a=1")
    body = f"""
got = k8s.core.v1.ConfigMap.get("got", "{cluster.namespace}/old", opts=opts)
pulumi.export("a", got.data["a"])
k8s.core.v1.ConfigMap(
    "taken",
    metadata={{"name": "old", "namespace": "{cluster.namespace}"}},
    data={{"a": "1"}},
    opts=pulumi.ResourceOptions(provider=provider, import_="{cluster.namespace}/old"),
)
"""
    head = cluster.program("").replace("namespace = k8s", "0 and k8s").replace("place = ", "0 and ")
    stack = engine.stack(tmp_path / "import", head + body)
    done = stack.up()
    assert "warning" not in done.output, done.output
    assert stack.outputs() == {"a": "1"}
    assert stack.changed() == {"got": ["read"]}

    cluster.kubectl("create", "configmap", "later", "-n", cluster.namespace, "--from-literal=b=2")
    kind, id_ = "kubernetes:core/v1:ConfigMap", f"{cluster.namespace}/later"
    provider = f"cluster={stack.state('cluster')['urn']}"
    stack.run("import", kind, "later", id_, "--provider", provider, "--yes", "--generate-code=false")
    assert stack.state("later")["inputs"]["data"] == {"b": "2"}


UNREACHABLE = """
k8s.core.v1.ConfigMap("a", metadata={"name": "a", **place}, data={"x": "1"}, opts=opts)
"""


def test_a_cluster_that_is_gone_can_be_left_behind(engine: Engine, cluster: Cluster, tmp_path: Path) -> None:
    stack = engine.stack(tmp_path / "gone", cluster.program(UNREACHABLE))
    stack.up()
    dead = tmp_path / "dead"
    text = cluster.kubeconfig.read_text()
    port = text.split("https://127.0.0.1:")[1].split()[0]
    dead.write_text(text.replace(port, "9"))
    stack.program(Cluster(dead, cluster.namespace).program(UNREACHABLE))
    stack.up()  # the provider alone changes: the objects are the same
    stuck = stack.destroy(check=False)
    assert stuck.status != 0
    assert "PULUMI_K8S_DELETE_UNREACHABLE" in stuck.output
    stack.destroy(PULUMI_K8S_DELETE_UNREACHABLE="true")
    assert stack.resources() == []
    cluster.kubectl("delete", "namespace", cluster.namespace, "--wait=false")


def test_a_cluster_to_be_made_is_previewed_without_being_asked(
    engine: Engine, cluster: Cluster, tmp_path: Path
) -> None:
    program = f"""
import pulumi
import pulumi_kubernetes as k8s
from pulumi_command import local

made = local.Command("made", create="cat {cluster.kubeconfig}", logging=local.Logging.NONE)
provider = k8s.Provider("cluster", kubeconfig=pulumi.Output.secret(made.stdout), cluster_identifier="one")
opts = pulumi.ResourceOptions(provider=provider)
space = k8s.core.v1.Namespace("ns", metadata={{"name": "{cluster.namespace}"}}, opts=opts)
pulumi.export("name", space.metadata["name"])
"""
    stack = engine.stack(tmp_path / "to-be-made", program)
    assert stack.changed()["ns"] == ["create"]
    stack.up()
    assert stack.outputs() == {"name": cluster.namespace}
    assert stack.changed() == {}
    stack.destroy()


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
