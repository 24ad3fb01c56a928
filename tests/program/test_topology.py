"""The graph of an environment: what is created, where, after what."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import yaml
from config.environments import read_environment

from components.mesh import app_ids, crds
from gateway.core import app_ids as gateway_app_ids
from stacks.config import loading, supply
from stacks.program import clusters

ENVIRONMENTS = ["dev", "article", "existing", "scale"]
PASSWORD = "a-password-of-this-test"


def _graph(recorder: Any) -> str:
    """Every resource with its references, in an order that no scheduling changes."""
    lines = []
    for resource in sorted(recorder.registered, key=lambda r: (r.type, r.name)):
        lines.append(f"{resource.type} {resource.name}")
        for label, value in (
            ("in", resource.parent),
            ("by", resource.provider),
            ("goes with", resource.deleted_with),
            ("after", ", ".join(resource.after)),
        ):
            if value:
                lines.append(f"    {label}: {value}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_graph_is_the_one_on_file(environment: str, run: Any, golden: Callable[[str, str], None]) -> None:
    golden(f"{environment}-graph.txt", _graph(run(environment)))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_type_and_name_occurs_once(environment: str, run: Any) -> None:
    twice = [
        key for key, n in Counter((r.type, r.name) for r in run(environment).registered).items() if n > 1
    ]
    assert not twice, "two resources with one URN overwrite each other in the state"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_preview_with_nothing_known_registers_the_same_resources(environment: str, run: Any) -> None:
    previewed = {(r.type, r.name) for r in run(environment, preview=True).registered}
    assert previewed == {(r.type, r.name) for r in run(environment).registered}, (
        "no resource hides in an apply"
    )


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_resource_names_its_provider(environment: str, run: Any) -> None:
    bare = [
        r.name
        for r in run(environment).registered
        if not r.provider and not r.type.startswith(("pulumi:providers:", "multicluster-dapr:"))
    ]
    assert not bare, "default providers are switched off: nothing may reach for the ambient kubeconfig"


@pytest.mark.parametrize("environment", ["dev", "article", "scale"])
def test_what_is_inside_a_cluster_goes_with_it(environment: str, run: Any) -> None:
    kept = [
        r.name
        for r in run(environment).registered
        if r.type.startswith("kubernetes:") and not r.deleted_with and "id" not in r.inputs
    ]
    assert not kept, "destroy deletes the k3d clusters and nothing one by one"


def test_a_cluster_of_someone_else_is_only_spoken_to(run: Any) -> None:
    recorder = run("existing")
    commands = [r.name for r in recorder.registered if r.type == "command:local:Command"]
    assert set(commands) == {"peers-key-random", "dapr-trust-root-seed"}, "no k3d, no import"
    assert not [r.name for r in recorder.registered if r.deleted_with], (
        "destroy removes what is inside, one by one"
    )
    assert not recorder.find("gateway-image").inputs["skipPush"], "its nodes pull from the registry"
    providers = [r.inputs for r in recorder.registered if r.type == "pulumi:providers:kubernetes"]
    identifiers = {inputs["clusterIdentifier"] for inputs in providers}
    assert identifiers == {f"https://{name}.example.org:6443" for name in ("hub", "east", "west")}
    assert {inputs["enableServerSideApply"] for inputs in providers} == {"false"}, (
        "it takes over what is there"
    )


def test_redis_can_live_in_the_control_plane(run: Any) -> None:
    redis = {"mode": "statefulset", "host": "192.0.2.10", "port": 30379}
    recorder = run("existing", lambda config: config.update(redis=redis))
    assert recorder.find("redis-server").provider == "hub-kubernetes"
    store = recorder.find("east-dapr-test-statestore-component").inputs["spec"]["metadata"]
    assert store[0] == {"name": "redisHost", "value": "192.0.2.10:30379"}


def test_each_member_can_have_a_database_of_its_own(run: Any) -> None:
    def stores(recorder: Any, members: Sequence[str] = ("cluster-1", "cluster-3")) -> list[Any]:
        specs = [recorder.find(f"{name}-dapr-test-statestore-component").inputs["spec"] for name in members]
        return [{entry["name"]: entry["value"] for entry in spec["metadata"][3:]} for spec in specs]

    shared = {"redisUsername": "nodeapp"}
    assert stores(run()) == [shared] * 2, "no store of actors"
    alone = {"stateStore": {"perCluster": True, "actors": True}}
    assert stores(run("dev", lambda config: config.update(dapr=alone))) == [
        {"redisUsername": f"nodeapp.cluster-{n}", "redisDB": f"{n}", "actorStateStore": "true"}
        for n in (1, 3)
    ]

    def everywhere(config: dict[str, Any]) -> None:
        config["dapr"] = alone
        config["apps"][0]["clusters"] = ["east", "west"]

    theirs = run("existing", everywhere)
    assert stores(theirs, ("east", "west")) == [
        {"actorStateStore": "true"},
        {"redisDB": "1", "actorStateStore": "true"},
    ], "the users of an external Redis are not ours"


def test_a_namespace_gets_the_password_of_its_apps_own_user(run: Any) -> None:
    recorder = run("dev", lambda config: config.update(redisPassword=PASSWORD))
    secrets = [r for r in recorder.registered if r.name.endswith("-statestore-secret")]
    assert {r.inputs["stringData"]["redis-password"] for r in secrets} == {
        "stdout of redis-nodeapp-password-random"
    }
    component = recorder.find("cluster-1-dapr-test-statestore-component").inputs
    assert component["scopes"] == ["nodeapp"]
    theirs = run("existing").find("east-dapr-test-statestore-secret")
    assert theirs.inputs["stringData"]["redis-password"] == "a-password-of-theirs"


def test_apps_restart_when_their_state_store_is_another_one(run: Any) -> None:
    def annotations(recorder: Any, app: str) -> Any:
        return recorder.find(f"{app}-deployment").inputs["spec"]["template"]["metadata"]["annotations"]

    changed = run(
        "dev", lambda config: config.update(dapr={"stateStore": {"perCluster": True, "actors": True}})
    )
    key = "multicluster-dapr/state-store"
    alone = annotations(changed, "cluster-3-dapr-test-nodeapp")[key]
    assert re.fullmatch(r"nodeapp\.cluster-3\.[0-9a-f]{8}\.database-3\.actors", alone), (
        "a user's password, too"
    )
    assert key not in annotations(changed, "cluster-2-curl-curl"), "its namespace has no store"
    assert re.fullmatch(r"nodeapp\.[0-9a-f]{8}", annotations(run(), "cluster-3-dapr-test-nodeapp")[key])
    assert key not in annotations(run("existing"), "east-dapr-test-nodeapp"), "an external Redis"


def containers(recorder: Any, deployment: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = recorder.find(deployment).inputs["spec"]["template"]["spec"]["containers"]
    return found


def test_gateway_and_hub_have_bounds_of_their_own(run: Any) -> None:
    recorder = run("dev")
    for deployment in ("cluster-1-gateway-deployment", "control-plane-hub-deployment"):
        (container,) = containers(recorder, deployment)
        assert container["resources"] == {
            "requests": {"cpu": "50m", "memory": "64Mi"},
            "limits": {"memory": "256Mi"},
        }


def test_flomesh_patches_its_mesh_before_any_pod(run: Any) -> None:
    recorder = run("article")
    patch = recorder.find("cluster-1-osm-edge-mesh-config-patch")
    assert patch.inputs["spec"] == {
        "traffic": {
            "outboundIPRangeExclusionList": ["10.43.0.1/32"],
            "outboundPortExclusionList": [50005, 8201, 6379],
        }
    }
    assert "cluster-1-osm-edge-mesh-config-patch" in recorder.find("cluster-1-dapr-test-nodeapp").after
    labels = recorder.find("cluster-1-dapr-test").inputs["metadata"]
    assert labels["labels"] == {"openservicemesh.io/monitored-by": "osm"}


def test_flomesh_joins_with_the_members_own_kubeconfig(run: Any) -> None:
    joined = run("article").find("cluster-1-membership-cluster")
    assert joined.provider == "control-plane-kubernetes"
    assert joined.inputs["spec"]["kubeconfig"] == "stdout of cluster-1-k3d"
    assert "stdout of" not in str(joined.in_clear), "it is an administrator's credential"


def test_each_cluster_has_one_provider_that_goes_with_it(run: Any) -> None:
    providers = [r for r in run().registered if r.type == "pulumi:providers:kubernetes"]
    assert {p.name: p.inputs["clusterIdentifier"] for p in providers} == {
        f"{name}-kubernetes": f"{name}-k3d-id"
        for name in ("control-plane", "cluster-1", "cluster-2", "cluster-3")
    }


def test_a_renewed_credential_is_updated_in_place(run: Any) -> None:
    providers = [
        r
        for name in ("dev", "existing")
        for r in run(name).registered
        if r.type == "pulumi:providers:kubernetes"
    ]
    assert all(p.inputs["enableSecretMutable"] == "true" for p in providers), (
        "a Secret that is replaced is gone for a moment, and with it the hub's way to a member"
    )


def test_what_is_in_a_cluster_made_here_ends_with_its_provider(run: Any) -> None:
    inside = {r.deleted_with for r in run().registered if r.provider == "cluster-1-kubernetes"}
    assert inside == {"cluster-1-kubernetes"}, (
        "replacing a cluster, the engine knows of the provider's end in time, and of the command's too late"
    )


def test_secrets_are_marked_wherever_they_go(run: Any) -> None:
    recorder = run("dev", lambda config: config.update(redisPassword=PASSWORD))
    shown = [r.name for r in recorder.registered if PASSWORD in str(r.in_clear)]
    assert not shown, "the password would be in clear text in the state"
    generated = "stdout of redis-nodeapp-password-random"
    assert not [r.name for r in recorder.registered if generated in str(r.in_clear)]
    uploads = str(recorder.find("redis-server").inputs["uploads"])
    for password in (PASSWORD, generated):
        assert hashlib.sha256(password.encode()).hexdigest() in uploads, "the test looks in the right place"
        assert password not in uploads
    assert "user nodeapp" not in str(recorder.find("redis-server").in_clear)
    kubeconfigs = [f"stdout of {name}-k3d" for name in ("control-plane", "cluster-1")]
    assert not [r.name for r in recorder.registered for text in kubeconfigs if text in str(r.in_clear)]
    assert recorder.find("cluster-1-membership-bootstrap-credential").in_clear["stringData"] == "(secret)"


def test_the_password_is_in_no_argument_and_no_variable(run: Any) -> None:
    redis = run("dev", lambda config: config.update(redisPassword=PASSWORD)).find("redis-server")
    assert redis.inputs["command"] == ["redis-server", "/usr/local/etc/redis/redis.conf"]
    assert "envs" not in redis.inputs


def test_the_administrators_password_is_generated_only_when_none_is_given(run: Any) -> None:
    def has_random(recorder: Any) -> bool:
        return any(r.name == "redis-password-random" for r in recorder.registered)

    assert has_random(run())
    assert not has_random(run("dev", lambda config: config.update(redisPassword=PASSWORD)))


def test_an_app_runs_on_its_clusters_only(run: Any) -> None:
    apps = [r.name for r in run().registered if r.type == "multicluster-dapr:app:App"]
    assert sorted(apps) == [
        "cluster-1-dapr-test-nodeapp",
        "cluster-2-curl-curl",
        "cluster-3-dapr-test-nodeapp",
    ]


def test_exports_follow_every_membership(run: Any) -> None:
    export = run().find("cluster-1-dapr-test-nodeapp-export")
    joined = {f"cluster-{n}-membership-cluster" for n in (1, 2, 3)}
    assert joined <= set(export.after), "an export created before a cluster joins is lost there"


def test_the_exports_of_dapr_apps_say_their_app_id(run: Any) -> None:
    def annotations(environment: str, name: str) -> Any:
        return run(environment).find(name).inputs["metadata"].get("annotations")

    assert annotations("dev", "cluster-1-dapr-test-nodeapp-export-object") == {app_ids.APP_ID: "nodeapp"}
    assert annotations("article", "cluster-1-dapr-test-nodeapp-export-object") is None, "FSM knows no app-ids"


def test_an_export_without_a_dapr_app_says_none(run: Any) -> None:
    curl = {"service": "curl", "namespace": "curl", "clusters": ["cluster-2"],
            "rules": [{"portNumber": 80, "path": "/curl"}]}  # fmt: skip
    found = run("dev", lambda config: config["exports"].append(curl)).find(
        "cluster-2-curl-curl-export-object"
    )
    assert "annotations" not in found.inputs["metadata"]


SHOP = {"service": "checkout", "namespace": "shop", "clusters": ["cluster-2"], "appId": "pay",
        "rules": [{"portNumber": 80}]}  # fmt: skip


def test_a_service_of_somebody_else_is_exported_and_steered(run: Any) -> None:
    def add(config: dict[str, Any]) -> None:
        config["exports"].append(SHOP)
        config["policies"] = [{"cluster": "cluster-1", "namespace": "shop", "name": "checkout"}]

    recorder = run("dev", add)
    made = recorder.find("cluster-2-shop-checkout-export-object").inputs
    assert made["spec"] == {
        "serviceAccountName": "*",
        "pathRewrite": {"from": "^/shop/checkout/?", "to": "/"},
        "rules": [{"portNumber": 80, "path": "/shop/checkout", "pathType": "Prefix"}],
    }
    assert made["metadata"]["annotations"] == {app_ids.APP_ID: "pay"}
    assert recorder.find("cluster-1-shop-checkout-policy-object").inputs["spec"] == {"lbType": "Locality"}
    assert recorder.find("cluster-3-shop"), "its importers have the namespace"
    assert recorder.outputs["demo"]["cluster-2/shop/checkout"] == "http://127.0.0.1:82/shop/checkout"


def test_a_namespace_of_somebody_else_is_used_and_not_made(run: Any) -> None:
    def add(config: dict[str, Any]) -> None:
        config["exports"].append(SHOP)
        config["namespaces"] = [{"name": "shop", "mode": "require", "clusters": ["cluster-2", "cluster-3"]}]

    recorder = run("dev", add)
    made = {r.name for r in recorder.registered if r.name.endswith("-shop")}
    assert made == {"control-plane-shop", "cluster-1-shop"}
    metadata = recorder.find("cluster-2-shop-checkout-export-object").inputs["metadata"]
    assert metadata["namespace"] == "shop"


def test_namespaces_with_dapr_apps_are_those_of_callers(run: Any) -> None:
    def labelled(environment: str) -> set[str]:
        namespaces = [r for r in run(environment).registered if r.type == "kubernetes:core/v1:Namespace"]
        return {
            r.name
            for r in namespaces
            if app_ids.CALLERS.items() <= r.inputs["metadata"].get("labels", {}).items()
        }

    assert labelled("dev") == {"cluster-1-dapr-test", "cluster-2-curl", "cluster-3-dapr-test"}
    assert labelled("article") == set()


def test_program_and_gateway_mean_the_same_by_app_ids() -> None:
    assert gateway_app_ids.APP_ID == app_ids.APP_ID
    assert {gateway_app_ids.CALLERS: "true"} == app_ids.CALLERS


def test_a_policy_is_one_object_with_keys_and_weights(run: Any) -> None:
    policy = {
        "cluster": "cluster-2",
        "namespace": "dapr-test",
        "name": "nodeapp",
        "lbType": "ActiveActive",
        "targets": [
            {"cluster": "cluster-1", "weight": 100},
            {"clusterKey": "default/default/default/cluster-3", "weight": 0},
        ],
    }
    before, after = run(), run("dev", lambda config: config.update(policies=[policy]))
    added = {r.name for r in after.registered} - {r.name for r in before.registered}
    name = "cluster-2-dapr-test-nodeapp-policy"
    assert added == {name, f"{name}-object"}, "a policy touches nothing else"
    assert after.find(f"{name}-object").inputs["spec"] == {
        "lbType": "ActiveActive",
        "targets": [
            {"clusterKey": "default/default/default/cluster-1", "weight": 100},
            {"clusterKey": "default/default/default/cluster-3", "weight": 0},
        ],
    }


def test_a_fourth_member_adds_only_its_own_resources(run: Any) -> None:
    new = {"name": "cluster-4", "apiPort": 6448, "httpPort": 84}
    before, after = run(), run("dev", lambda config: config["clusters"].append(new))
    was = {(r.type, r.name): r.inputs for r in before.registered}
    now = {(r.type, r.name): r.inputs for r in after.registered}
    assert all(name.startswith("cluster-4") for _, name in now.keys() - was.keys())
    assert all(now[key] == inputs for key, inputs in was.items()), "no other resource changes"


def test_crds_reach_the_engine_as_they_are_on_file(run: Any) -> None:
    registered = run().find("cluster-1-crds-serviceexports").inputs
    on_file = yaml.safe_load((crds.FOLDER / "serviceexports.yaml").read_text())
    assert registered["spec"] == on_file["spec"], "the SDK must not rename a key of a schema"


def test_archives_go_to_the_nodes_that_use_them() -> None:
    parsed = loading.parse(read_environment("dev"))
    content = {
        "mode": "airgap",
        "images": {
            "node": {"ref": "node:1"},
            "redis": {"ref": "redis:1"},
            "python": {"ref": "python:1"},
            "compiler": {"ref": "compiler:1"},
            "curl": {"ref": "curl:1", "archive": "/curl.tar"},
            "dapr": {"ref": "ghcr.io/dapr", "tag": "1.16.0", "archive": "/dapr.tar"},
        },
        "charts": {"dapr": {"chart": "/charts/dapr", "version": "1.16.0"}},
    }
    artifacts = supply.from_map(parsed, content, {"dapr": "1.16.0"})
    assert clusters.archives_of(parsed, artifacts, "control-plane") == {}
    assert clusters.archives_of(parsed, artifacts, "cluster-1") == {"dapr": "/dapr.tar"}
    assert clusters.archives_of(parsed, artifacts, "cluster-2") == {"dapr": "/dapr.tar", "curl": "/curl.tar"}
