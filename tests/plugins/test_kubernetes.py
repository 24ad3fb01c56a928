"""Objects and configuration of the kubernetes stand-in; no cluster needed."""

import json
from pathlib import Path
from typing import Any

import pytest

from airgap.plugins.base.logs import Log
from airgap.plugins.base.provider import ProviderError, Request
from airgap.plugins.base.values import UNKNOWN, Secret
from airgap.plugins.kubernetes import managers
from airgap.plugins.kubernetes.access import KubeconfigError, entry, load, parse
from airgap.plugins.kubernetes.client import ApiError
from airgap.plugins.kubernetes.objects import (
    assign_name,
    canonical_inputs,
    checkpoint,
    diff_objects,
    group_version_kind,
    mark_secrets,
    object_id,
    prune,
    split_state,
)
from airgap.plugins.kubernetes.plugin import KubernetesProvider

CONFIG_MAP_TYPE = "kubernetes:core/v1:ConfigMap"


def request(kind: str = CONFIG_MAP_TYPE, **fields: Any) -> Request:
    return Request(urn="urn:x", type=kind, name="made", log=Log(), seed=b"seed", **fields)


@pytest.mark.parametrize(
    ("token", "kind", "expected"),
    [
        ("kubernetes:core/v1:Secret", "Secret", ("v1", "Secret", False)),
        ("kubernetes:apps/v1:Deployment", "Deployment", ("apps/v1", "Deployment", False)),
        ("kubernetes:apps/v1:DeploymentPatch", "Deployment", ("apps/v1", "Deployment", True)),
        ("kubernetes:dapr.io/v1alpha1:Component", "Component", ("dapr.io/v1alpha1", "Component", False)),
        ("kubernetes:x.io/v1:RoutePatch", "RoutePatch", ("x.io/v1", "RoutePatch", False)),
    ],
)
def test_type_tokens_name_version_and_kind(token: str, kind: str, expected: tuple[str, str, bool]) -> None:
    assert group_version_kind(token, kind) == expected


def test_a_name_is_made_once_and_kept() -> None:
    named, failures = assign_name(request(), {"kind": "ConfigMap"}, {})
    assert not failures
    meta = named["metadata"]
    assert meta["annotations"] == {"pulumi.com/autonamed": "true"}
    assert meta["name"].startswith("made-")
    assert len(meta["name"]) == len("made-") + 8
    kept, _ = assign_name(request(), {"metadata": {}}, named)
    assert kept["metadata"]["name"] == meta["name"]
    own, _ = assign_name(request(), {"metadata": {"name": "own"}}, named)
    assert own == {"metadata": {"name": "own"}}


def test_string_data_becomes_data_unless_something_is_unknown() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "x"}, "data": {"b": "eQ=="}}
    assert canonical_inputs(secret)["data"] == {"a": "eA==", "b": "eQ=="}
    assert "stringData" in canonical_inputs({**secret, "stringData": {"a": UNKNOWN}})


def test_server_set_metadata_is_left_out() -> None:
    values = {"metadata": {"name": "a", "uid": "1", "resourceVersion": "2", "managedFields": []}}
    assert canonical_inputs(values) == {"metadata": {"name": "a"}}


def test_a_secrets_data_is_always_secret_and_other_values_follow_the_program() -> None:
    assert mark_secrets({}, {"kind": "Secret", "data": {"a": "x"}})["data"] == Secret({"a": "x"})
    marked = mark_secrets({"data": {"a": Secret("x")}}, {"kind": "ConfigMap", "data": {"a": "x", "b": "y"}})
    assert marked["data"] == {"a": Secret("x"), "b": "y"}


def test_the_state_can_be_read_back() -> None:
    inputs = {"kind": "CustomResourceDefinition", "spec": {"x-kubernetes-map-type": "atomic"}}
    state = checkpoint(inputs, {**inputs, "status": {}}, inputs, "v1", "manager")
    assert state["spec"] == {"x_kubernetes_map_type": "atomic"}
    old_inputs, live = split_state(state)
    assert old_inputs == inputs
    assert live == {**inputs, "status": {}}


def test_live_state_is_cut_to_the_shape_of_the_inputs() -> None:
    live = {"a": {"b": 1, "c": 2}, "l": [{"x": 1, "y": 2}, {"x": 3}], "d": 4}
    assert prune(live, {"a": {"b": 9}, "l": [{"x": 0}]}) == {"a": {"b": 1}, "l": [{"x": 1}]}


def _diff(
    old: dict[str, Any], new: dict[str, Any], live: dict[str, Any] | None = None, **options: Any
) -> Any:
    state = checkpoint(old, live or old, old, "v1", "m")
    version = f"core/{new['apiVersion']}" if "/" not in new["apiVersion"] else new["apiVersion"]
    token = f"kubernetes:{version}:{new['kind']}"
    return diff_objects(request(token, state=state, inputs=new), namespaced=True, **options)


PLACE = {"name": "a", "namespace": "n"}
CONFIG_MAP: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": PLACE, "data": {"x": "1"}}


def test_data_of_a_config_map_replaces_deleting_first_when_the_name_is_fixed() -> None:
    found = _diff(CONFIG_MAP, {**CONFIG_MAP, "data": {"x": "2"}})
    assert found.replaces == {("data", "x")}
    assert found.delete_before_replace
    automatic = {"name": "a", "namespace": "n", "annotations": {"pulumi.com/autonamed": "true"}}
    old = {**CONFIG_MAP, "metadata": automatic}
    assert not _diff(old, {**old, "data": {"x": "2"}}).delete_before_replace


def test_data_of_a_secret_replaces_unless_secrets_are_mutable() -> None:
    old = {**CONFIG_MAP, "kind": "Secret", "data": {"x": "eA=="}}
    new = {**old, "data": {"x": "eQ=="}}
    assert _diff(old, new).replaces == {("data", "x")}
    assert not _diff(old, new, secret_mutable=True).replaces
    assert _diff({**old, "immutable": True}, {**new, "immutable": True}, secret_mutable=True).replaces
    assert _diff(old, {**old, "type": "other"}, secret_mutable=True).replaces == {("type",)}


def test_the_default_namespace_may_be_left_unsaid() -> None:
    unsaid = {**CONFIG_MAP, "metadata": {"name": "a"}}
    assert not _diff(unsaid, {**CONFIG_MAP, "metadata": {"name": "a", "namespace": "default"}}).changes
    found = _diff(unsaid, {**CONFIG_MAP, "metadata": {"name": "a", "namespace": "other"}})
    assert found.replaces == {("metadata", "namespace")}
    assert not found.delete_before_replace


def test_drift_of_a_stated_field_is_a_change_and_of_others_is_not() -> None:
    live = {**CONFIG_MAP, "data": {"x": "7", "more": "m"}}
    assert _diff(CONFIG_MAP, CONFIG_MAP, live).changes == {("data", "x"): "update"}


def test_empty_values_the_server_drops_are_no_change() -> None:
    old = {**CONFIG_MAP, "metadata": {**PLACE, "annotations": {}}}
    assert not _diff(old, old, CONFIG_MAP).changes
    assert _diff(CONFIG_MAP, {**CONFIG_MAP, "immutable": False}).changes


@pytest.mark.parametrize(
    ("api_version", "kind", "field", "replaced"),
    [
        ("apps/v1", "Deployment", "selector", True),
        ("apps/v1", "Deployment", "replicas", False),
        ("apps/v1", "StatefulSet", "serviceName", True),
        ("batch/v1", "Job", "template", True),
        ("v1", "Service", "clusterIP", True),
        ("v1", "Pod", "containers", True),
        ("x.io/v1", "Thing", "selector", False),
    ],
)
def test_replace_rules_are_those_of_the_kind(api_version: str, kind: str, field: str, replaced: bool) -> None:
    old = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, "spec": {field: "1"}}
    assert bool(_diff(old, {**old, "spec": {field: "2"}}).replaces) is replaced


def test_ids_hold_the_namespace_where_there_is_one() -> None:
    assert object_id({"metadata": {"name": "a", "namespace": "n"}}) == "n/a"
    assert object_id({"metadata": {"name": "a"}}) == "a"


def test_a_conflict_names_the_managers() -> None:
    error = ApiError(409, 'conflict with "other": .spec.replicas')
    text = managers.conflict_text("me", error)
    assert '"me"' in text
    assert '"other"' in text


def _kubeconfig(server: str = "https://one", context: str = "c", token: str = "t") -> str:  # noqa: S107
    return json.dumps(
        {
            "current-context": context,
            "clusters": [{"name": "k", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": context, "context": {"cluster": "k", "user": "u", "namespace": "home"}}],
        }
    )


async def test_a_kubeconfig_is_given_as_its_text(tmp_path: Path) -> None:
    access = await load(_kubeconfig(), "")
    assert (access.server, access.namespace) == ("https://one", "home")
    assert access.headers == {"Authorization": "Bearer t"}
    with pytest.raises(KubeconfigError, match="context 'x' does not exist"):
        await load(_kubeconfig(), "x")
    with pytest.raises(KubeconfigError, match="parse"):
        parse("a: [")
    with pytest.raises(KubeconfigError, match="not a path"):
        parse(str(tmp_path / "config"))


async def test_what_a_kubeconfig_says_beyond_that_is_refused_by_name() -> None:
    config = json.loads(_kubeconfig())
    config["clusters"][0]["cluster"]["proxy-url"] = "http://proxy.test"
    with pytest.raises(KubeconfigError, match="does not cover proxy-url of a kubeconfig's cluster"):
        await load(json.dumps(config), "")


async def test_exec_credentials_are_asked_for() -> None:
    config = json.loads(_kubeconfig())
    credential = json.dumps({"status": {"token": "made"}})
    config["users"][0]["user"] = {"exec": {"command": "echo", "args": [credential]}}
    assert (await load(json.dumps(config), "")).headers == {"Authorization": "Bearer made"}
    config["users"][0]["user"] = {"exec": {"command": "false"}}
    with pytest.raises(KubeconfigError, match="credential plugin 'false' failed"):
        await load(json.dumps(config), "")


def test_the_active_cluster_is_found_by_context() -> None:
    assert entry(parse(_kubeconfig()), "cluster") == {"server": "https://one"}
    with pytest.raises(KubeconfigError, match="'none'"):
        entry(parse(_kubeconfig(), "none"), "cluster")


@pytest.mark.parametrize(
    ("old", "new", "replaced"),
    [
        ({"kubeconfig": "a", "clusterIdentifier": "a"}, {"kubeconfig": "b", "clusterIdentifier": "a"}, False),
        ({"clusterIdentifier": "a"}, {"kubeconfig": UNKNOWN, "clusterIdentifier": "a"}, False),
        ({"clusterIdentifier": "a"}, {"clusterIdentifier": "b"}, True),
        ({"clusterIdentifier": "a"}, {"clusterIdentifier": UNKNOWN}, True),
    ],
)
async def test_a_provider_is_replaced_only_for_another_cluster(
    old: dict[str, Any], new: dict[str, Any], replaced: bool
) -> None:
    found = await KubernetesProvider().diff_config(request(old_inputs=old, inputs=new))
    assert found.changes
    assert found.replaces == ({("clusterIdentifier",)} if replaced else set())


async def test_an_unreachable_cluster_still_checks_and_previews(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULUMI_K8S_DELETE_UNREACHABLE", raising=False)
    provider = KubernetesProvider()
    await provider.configure({"kubeconfig": _kubeconfig("http://127.0.0.1:9")})
    objects = provider.part(CONFIG_MAP_TYPE)
    inputs, failures = await objects.check(request(inputs={"apiVersion": "v1", "kind": "ConfigMap"}))
    assert not failures
    assert inputs["metadata"]["namespace"] == "home"
    scoped, _ = await objects.check(
        request("kubernetes:core/v1:Namespace", inputs={"apiVersion": "v1", "kind": "Namespace"})
    )
    assert "namespace" not in scoped["metadata"]
    assert await objects.create(request(inputs=inputs, preview=True)) == ("", inputs)
    with pytest.raises(ProviderError, match="unreachable"):
        await objects.create(request(inputs=inputs))
    with pytest.raises(ProviderError, match="PULUMI_K8S_DELETE_UNREACHABLE"):
        await objects.delete(request(id="n/a", state=inputs))
    monkeypatch.setenv("PULUMI_K8S_DELETE_UNREACHABLE", "true")
    await provider.configure({"kubeconfig": _kubeconfig("http://127.0.0.1:9")})
    await provider.part(CONFIG_MAP_TYPE).delete(request(id="n/a", state=inputs))
    assert (await provider.part(CONFIG_MAP_TYPE).read(request(id="n/a", state=inputs)))[0] == ""


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        ("kubernetes:networking.k8s.io/v1:Ingress", "Ingress"),
        ("kubernetes:core/v1:PersistentVolume", "PersistentVolume"),
        ("kubernetes:core/v1:ResourceQuotaPatch", "ResourceQuota"),
        ("kubernetes:core/v1:ConfigMapList", "ConfigMapList"),
        ("kubernetes:apps/v1beta1:Deployment", "Deployment"),
    ],
)
async def test_kinds_outside_the_scope_are_refused_with_what_there_is(token: str, kind: str) -> None:
    with pytest.raises(ProviderError, match="ServiceAccount, CustomResource") as refused:
        await KubernetesProvider().part(token).check(request(token, inputs={"kind": kind}))
    assert token in str(refused.value)


@pytest.mark.parametrize(
    "token",
    [
        "kubernetes:flomesh.io/v1alpha1:ServiceExport",
        "kubernetes:gateway.networking.k8s.io/v1:Gateway",
        "kubernetes:multicluster.x-k8s.io/v1alpha1:ServiceExport",
    ],
)
async def test_custom_resources_of_any_group_are_covered(token: str) -> None:
    inputs = {"kind": token.rpartition(":")[2], "metadata": {"name": "a", "namespace": "n"}}
    assert await KubernetesProvider().part(token).check(request(token, inputs=inputs)) == (inputs, [])


async def test_provider_arguments_that_are_not_covered_are_refused() -> None:
    given = {"renderYamlToDirectory": "out", "context": "n", "enableConfigMapMutable": "true"}
    _, failures = await KubernetesProvider().check_config(given)
    refused = ["renderYamlToDirectory", "enableConfigMapMutable", "clusterIdentifier"]
    assert [failure.property for failure in failures] == refused


async def test_annotations_and_options_outside_the_scope_are_refused() -> None:
    annotations = {"pulumi.com/replaceUnready": "true"}
    inputs = {"kind": "ConfigMap", "metadata": {"name": "a", "annotations": annotations}}
    objects = KubernetesProvider().part(CONFIG_MAP_TYPE)
    _, failures = await objects.check(request(inputs=inputs))
    assert "pulumi.com/replaceUnready" in failures[0].reason
    with pytest.raises(ProviderError, match=r"ignoreChanges \(data\.x\)"):
        await objects.diff(request(inputs=inputs, ignore_changes=("data.x",)))
