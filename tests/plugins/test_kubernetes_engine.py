"""The kubernetes provider as we build it, under the real engine and against a real API server."""

import re
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
    assert "Diagnostics:" not in first.output, first.output
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
labels = {{"app": "web"}}
k8s.apps.v1.Deployment(
    "web",
    metadata={{"name": "web", **place}},
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
PATCH = """
k8s.core.v1.ConfigMapPatch("patch", metadata={{"name": "shared", **place}}, data={patch}, opts=opts)
"""
FOREIGN = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {minReadySeconds: 9}
"""


def test_in_a_cluster_of_others_nothing_is_taken_over(
    engine: Engine, cluster: Cluster, tmp_path: Path
) -> None:
    cluster.kubectl("create", "namespace", cluster.namespace)
    cluster.kubectl("create", "configmap", "there", "-n", cluster.namespace, "--from-literal=mine=1")
    head = cluster.program_inside(extra="enable_server_side_apply=False,")
    stack = engine.stack(tmp_path / "others", head + SHARED.format(seconds=1))
    refused = stack.up("--continue-on-error", check=False)
    assert "already exists" in refused.output, refused.output
    assert cluster.get("configmap", "there")["data"] == {"mine": "1"}
    assert cluster.get("deployment", "web")["spec"]["minReadySeconds"] == 1
    stack.destroy()
    assert cluster.get("configmap", "there")["data"] == {"mine": "1"}, "nor deleted"
    cluster.kubectl("delete", "namespace", cluster.namespace, "--wait=false")


def test_in_a_cluster_of_ours_what_a_killed_run_left_is_taken_over(
    engine: Engine, cluster: Cluster, tmp_path: Path
) -> None:
    cluster.kubectl("create", "namespace", cluster.namespace)
    for name in ("there", "shared"):
        cluster.kubectl("create", "configmap", name, "-n", cluster.namespace, "--from-literal=mine=1")
    head = cluster.program_inside()
    body = SHARED.format(seconds=1) + PATCH.format(patch={"theirs": "2"})
    stack = engine.stack(tmp_path / "ours", head + body)
    stack.up()
    assert cluster.get("configmap", "there")["data"] == {"mine": "1", "b": "2"}
    assert cluster.get("configmap", "shared")["data"] == {"mine": "1", "theirs": "2"}

    apply = ["apply", "--server-side", "--force-conflicts", "--field-manager=other"]
    cluster.kubectl(*apply, "-n", cluster.namespace, "-f", "-", stdin=FOREIGN)
    stack.program(head + SHARED.format(seconds=2) + PATCH.format(patch={"mine": "2"}))
    refused = stack.up("--continue-on-error", check=False)
    assert '"other"' in refused.output, "a field that others have changed is a conflict"
    assert refused.output.count("conflict") >= 2, "so is one of another manager, for a patch"

    stack.program(head + SHARED.format(seconds=3) + PATCH.format(patch={"theirs": "3"}))
    stack.up(PULUMI_K8S_ENABLE_PATCH_FORCE="true")  # as ./stack sets it
    assert cluster.get("configmap", "shared")["data"] == {"mine": "1", "theirs": "3"}
    assert cluster.get("deployment", "web")["spec"]["minReadySeconds"] == 3
    assert stack.changed() == {}
    stack.destroy()
    assert cluster.get("configmap", "shared")["data"] == {"mine": "1"}, "a patch gives its fields back"
    cluster.kubectl("delete", "namespace", cluster.namespace, "--wait=false")


ANY_KIND = """
scaler = {
    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
    "minReplicas": 1,
    "maxReplicas": 3,
}
metadata = {"name": "web", **place}
k8s.autoscaling.v2.HorizontalPodAutoscaler("scaler", metadata=metadata, spec=scaler, opts=opts)
quota = {"hard": {"limits.cpu": "0.5", "limits.memory": "1024Mi"}}
k8s.core.v1.ResourceQuota("quota", metadata=place, spec=quota, opts=opts)
manifests = '''
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: listed, namespace: NAMESPACE}, data: {a: "1"}}
- {apiVersion: v1, kind: Secret, metadata: {name: hidden, namespace: NAMESPACE}, stringData: {b: hunter2}}
- apiVersion: policy/v1
  kind: PodDisruptionBudget
  metadata: {name: kept, namespace: NAMESPACE}
  spec: {minAvailable: 1}
'''
k8s.yaml.v2.ConfigGroup(
    "group",
    yaml=namespace.metadata["name"].apply(lambda name: manifests.replace("NAMESPACE", name)),
    opts=pulumi.ResourceOptions(providers=[provider]),
)
"""


def test_any_kind_may_be_declared_and_manifests_too(engine: Engine, cluster: Cluster, tmp_path: Path) -> None:
    stack = engine.stack(tmp_path / "kinds", cluster.program(ANY_KIND))
    stack.up()
    assert cluster.get("hpa", "web")["spec"]["maxReplicas"] == 3
    assert cluster.get("configmap", "listed")["data"] == {"a": "1"}
    types = {one["urn"].rpartition("::")[2]: one["type"] for one in stack.resources()}
    assert types[f"group:{cluster.namespace}/listed"] == "kubernetes:core/v1:ConfigMap"
    assert types[f"group:{cluster.namespace}/kept"] == "kubernetes:policy/v1:PodDisruptionBudget"
    assert "hunter2" not in str(stack.resources())
    refreshed = stack.refresh()
    assert "updated" not in refreshed.output, refreshed.output
    assert stack.changed() == {}, "0.5 is 500m, as the API server has it"
    stack.destroy()
    assert cluster.kubectl("get", "ns", cluster.namespace, "--ignore-not-found") == ""


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

    dead = tmp_path / "dead"
    dead.write_text(re.sub(r"(https://127\.0\.0\.1):\d+", r"\1:9", cluster.kubeconfig.read_text()))
    stack.program(MADE.format(kubeconfig=dead, namespace=cluster.namespace))
    stack.up()  # the provider alone changes: the object is the same
    stuck = stack.destroy(check=False)
    assert stuck.status != 0
    assert "PULUMI_K8S_DELETE_UNREACHABLE" in stuck.output
    stack.destroy(PULUMI_K8S_DELETE_UNREACHABLE="true")
    assert stack.resources() == []
    cluster.kubectl("delete", "namespace", cluster.namespace, "--wait=false")
