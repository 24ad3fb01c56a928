"""The kubernetes stand-in under the real engine, against a real API server: objects of all kinds."""

from pathlib import Path

import pytest
from plugins.cluster import Cluster
from plugins.engine import OFFICIAL, Engine

pytestmark = pytest.mark.e2e

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
k8s.apiextensions.v1.CustomResourceDefinition(
    "things",
    metadata={{"name": "things.custom.test"}},
    spec={{
        "group": "custom.test",
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
    api_version="custom.test/v1",
    kind="Thing",
    metadata={{"name": "thing", **place}},
    spec={{"weight": {weight}, "share": {share}, "list": [1, 2]}},
    opts=opts,
)
"""
ONE = {"text": "one", "labels": {"keep": "1", "drop": "1"}, "weight": 1, "share": 0.5}
TWO = {"text": "two", "labels": {"keep": "1"}, "weight": 1.0, "share": 0.75}


def test_objects_come_change_and_go(engine: Engine, cluster: Cluster, tmp_path: Path) -> None:
    stack = engine.stack(tmp_path / "objects", cluster.program(OBJECTS.format(**ONE)))
    first = stack.up()
    assert "warning:" not in first.output, first.output
    name = stack.outputs()["auto"]
    assert len(name) == len("auto-") + 8
    state = stack.state("auto")
    assert state["id"] == f"{cluster.namespace}/{name}"
    assert state["outputs"]["metadata"]["annotations"] == {"pulumi.com/autonamed": "true"}
    assert state["outputs"]["__fieldManager"].startswith("pulumi-kubernetes-")
    assert state["outputs"]["__initialApiVersion"] == "v1"
    assert state["outputs"]["__inputs"]["data"] == {"text": "one"}
    schema = stack.state("things")["outputs"]["spec"]["versions"][0]["schema"]
    assert schema["openAPIV3Schema"]["x_kubernetes_preserve_unknown_fields"] is True
    assert cluster.get("thing", "thing")["spec"] == {"weight": 1, "share": 0.5, "list": [1, 2]}
    assert "hunter2" not in str(stack.resources())
    assert "aHVudGVyMi" not in str(stack.resources())

    refreshed = stack.refresh()
    assert "updated" not in refreshed.output, refreshed.output
    assert stack.changed() == {}

    stack.program(cluster.program(OBJECTS.format(**TWO)))
    steps = stack.steps()
    assert steps["auto"]["ops"] == ["replace"]
    assert steps["auto"]["diff"]["data.text"] == "update-replace"
    assert steps["fixed"]["ops"] == ["replace"]
    assert steps["fixed"]["diff"]["metadata.labels.drop"] == "delete"
    assert steps["web"]["ops"] == ["update"]
    assert steps["web"]["diff"]["spec.template.spec.containers[0].image"] == "update"
    assert steps["thing"] == {"ops": ["update"], "diff": {"spec.share": "update"}}, "1 and 1.0 are the same"
    stack.up()  # the fixed name is free for the new object only when the old one goes first
    assert cluster.get("configmap", "fixed")["data"] == {"text": "two"}
    assert stack.outputs()["auto"] != name, "a replacement made first needs a name of its own"
    deployment = stack.state("web")["outputs"]["metadata"]["name"]
    assert cluster.get("deployment", deployment)["metadata"]["labels"] == {"keep": "1"}, (
        "a label stayed behind"
    )
    assert cluster.get("thing", "thing")["spec"]["share"] == 0.75
    stack.destroy()
    assert cluster.kubectl("get", "ns", cluster.namespace, "--ignore-not-found") == ""


SHARED = """
k8s.core.v1.ConfigMap("there", metadata={{"name": "there", **place}}, data={{"b": "2"}}, opts=opts)
k8s.core.v1.ConfigMapPatch("patch", metadata={{"name": "shared", **place}}, data={patch}, opts=opts)
labels = {{"app": "web"}}
k8s.apps.v1.Deployment(
    "web",
    metadata={{"name": "web", **place, "annotations": {annotations}}},
    spec={{
        "replicas": 0,
        "minReadySeconds": {seconds},
        "selector": {{"matchLabels": labels}},
        "template": {{
            "metadata": {{"labels": labels}},
            "spec": {{"containers": [{{"name": "web", "image": "web"}}]}},
        }},
    }},
    opts=opts,
)
"""
FOREIGN = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {minReadySeconds: 9}
"""


def test_what_belongs_to_others_is_left_alone_until_told_otherwise(
    engine: Engine, cluster: Cluster, tmp_path: Path
) -> None:
    cluster.kubectl("create", "namespace", cluster.namespace)
    for name in ("there", "shared"):
        cluster.kubectl("create", "configmap", name, "-n", cluster.namespace, "--from-literal=mine=1")
    head = cluster.program_inside()
    body = SHARED.format(patch={"theirs": "2"}, annotations={}, seconds=1)
    stack = engine.stack(tmp_path / "shared", head + body)
    assert stack.changed()["there"] == ["create"], "the preview shows a create"
    refused = stack.up("--continue-on-error", check=False)
    assert "already exists" in refused.output
    assert "upsertExistingObjects" in refused.output
    assert cluster.get("configmap", "shared")["data"] == {"mine": "1", "theirs": "2"}
    assert cluster.get("configmap", "there")["data"] == {"mine": "1"}

    apply = ["apply", "--server-side", "--force-conflicts", "--field-manager=other"]
    cluster.kubectl(*apply, "-n", cluster.namespace, "-f", "-", stdin=FOREIGN)
    stack.program(head + SHARED.format(patch={"mine": "2"}, annotations={}, seconds=2))
    refused = stack.up("--continue-on-error", check=False)
    assert '"other"' in refused.output, "a field that others have changed is a conflict"
    assert refused.output.count("had an apply conflict") >= 2, "so is one of another manager, for a patch"

    forced = {"pulumi.com/patchForce": "true"}
    head = cluster.program_inside(extra="upsert_existing_objects=True,")
    stack.program(head + SHARED.format(patch={"theirs": "3"}, annotations=forced, seconds=3))
    stack.up()
    assert cluster.get("configmap", "there")["data"] == {"mine": "1", "b": "2"}
    assert cluster.get("configmap", "shared")["data"] == {"mine": "1", "theirs": "3"}
    assert cluster.get("deployment", "web")["spec"]["minReadySeconds"] == 3
    assert stack.changed() == {}
    stack.destroy()
    assert cluster.get("configmap", "shared")["data"] == {"mine": "1"}, "a patch gives its fields back"


def test_what_is_outside_the_scope_is_refused_with_its_name(
    engine: Engine, cluster: Cluster, tmp_path: Path
) -> None:
    stack = engine.stack(tmp_path / "scope", cluster.program("k8s.networking.v1.Ingress('no', opts=opts)"))
    refused = stack.run("preview", check=False)
    assert refused.status != 0
    assert "does not cover kubernetes:networking.k8s.io/v1:Ingress" in refused.output, refused.output


def test_refresh_sees_drift_and_what_is_gone_and_objects_are_read_by_id(
    engine: Engine, cluster: Cluster, tmp_path: Path
) -> None:
    cluster.kubectl("create", "namespace", cluster.namespace)
    for name, pair in (("old", "a=1"), ("later", "b=2")):
        cluster.kubectl("create", "configmap", name, "-n", cluster.namespace, f"--from-literal={pair}")
    body = f"""
got = k8s.core.v1.ConfigMap.get("got", "{cluster.namespace}/old", opts=opts)
pulumi.export("a", got.data["a"])
k8s.core.v1.ConfigMap(
    "taken",
    metadata={{"name": "old", "namespace": "{cluster.namespace}"}},
    data={{"a": "1"}},
    opts=pulumi.ResourceOptions(provider=provider, import_="{cluster.namespace}/old"),
)
k8s.core.v1.ConfigMap("drifts", metadata={{"name": "drifts", **place}}, data={{"x": "1"}}, opts=opts)
k8s.core.v1.ConfigMap("goes", metadata={{"name": "goes", **place}}, data={{"x": "1"}}, opts=opts)
"""
    stack = engine.stack(tmp_path / "drift", cluster.program_inside() + body)
    done = stack.up()
    assert "warning" not in done.output, done.output
    assert stack.outputs() == {"a": "1"}
    changed = '{"data":{"x":"7"}}'
    cluster.kubectl("patch", "configmap", "drifts", "-n", cluster.namespace, "--type=merge", "-p", changed)
    cluster.kubectl("delete", "configmap", "goes", "-n", cluster.namespace)
    stack.refresh()
    assert stack.state("drifts")["outputs"]["data"] == {"x": "7"}
    steps = stack.changed()
    assert "replace" in steps["drifts"]
    assert steps["goes"] == ["create"]
    assert steps["got"] == ["read"]
    assert "taken" not in steps

    kind, id_ = "kubernetes:core/v1:ConfigMap", f"{cluster.namespace}/later"
    provider = f"cluster={stack.state('cluster')['urn']}"
    imported = stack.run("import", kind, "later", id_, "--provider", provider, "--yes", check=False)
    assert OFFICIAL or "give --generate-code=false" in imported.output, imported.output
    assert stack.state("later")["inputs"]["data"] == {"b": "2"}
    cluster.kubectl("delete", "namespace", cluster.namespace, "--wait=false")


MADE = """
import pulumi
import pulumi_kubernetes as k8s
from pulumi_command import local

made = local.Command("made", create="cat {kubeconfig}", logging=local.Logging.NONE)
provider = k8s.Provider("cluster", kubeconfig=pulumi.Output.secret(made.stdout), cluster_identifier="one")
opts = pulumi.ResourceOptions(provider=provider)
space = k8s.core.v1.Namespace("ns", metadata={{"name": "{namespace}"}}, opts=opts)
pulumi.export("name", space.metadata["name"])
"""


def test_a_cluster_may_be_made_in_the_same_run_and_be_gone_before_what_is_in_it(
    engine: Engine, cluster: Cluster, tmp_path: Path
) -> None:
    program = MADE.format(kubeconfig=cluster.kubeconfig, namespace=cluster.namespace)
    stack = engine.stack(tmp_path / "made", program)
    assert stack.changed()["ns"] == ["create"], "the cluster is not asked, for it is not there"
    stack.up()
    assert stack.outputs() == {"name": cluster.namespace}
    assert stack.changed() == {}

    dead, text = tmp_path / "dead", cluster.kubeconfig.read_text()
    dead.write_text(text.replace(text.split("https://127.0.0.1:")[1].split()[0], "9"))
    stack.program(MADE.format(kubeconfig=dead, namespace=cluster.namespace))
    stack.up()  # the provider alone changes: the object is the same
    stuck = stack.destroy(check=False)
    assert stuck.status != 0
    assert "PULUMI_K8S_DELETE_UNREACHABLE" in stuck.output
    stack.destroy(PULUMI_K8S_DELETE_UNREACHABLE="true")
    assert stack.resources() == []
    cluster.kubectl("delete", "namespace", cluster.namespace, "--wait=false")
