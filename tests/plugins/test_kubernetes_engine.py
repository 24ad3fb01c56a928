"""The kubernetes stand-in under the real engine, against a real API server: objects of all kinds."""

import json
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
    imported = stack.run("import", kind, "later", id_, "--provider", provider, "--yes", check=False)
    assert OFFICIAL or "give --generate-code=false" in imported.output, imported.output
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
