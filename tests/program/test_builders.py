"""What the components render, by equality."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from config.environments import read_environment

from components.dapr import dapr, state_store
from components.flomesh import fsm, osm_edge
from components.image import built_image
from components.mesh import (
    cluster_membership,
    controller,
    crds,
    gateway,
    guards,
    hub,
    hub_bootstrap,
    workload,
)
from components.redis import generated_password, redis_stateful_set, users
from gateway.core.member_token import LIFE_SECONDS
from stacks.config import loading
from stacks.program import clusters


def test_a_generated_password_is_48_hexadecimal_digits_and_new_each_time() -> None:
    first, second = (
        subprocess.run(
            ["/bin/sh", "-c", generated_password.GENERATE], capture_output=True, text=True, check=True
        )
        for _ in range(2)
    )
    assert len(first.stdout) == 48
    assert int(first.stdout, 16)
    assert first.stdout != second.stdout


def test_the_redis_file_has_a_user_for_each_app_and_no_password() -> None:
    mine = users.User(name="orders.east", app_id="orders", database=20, actors=True)
    text = users.redis_config(admin_password="of-the-admin", users=[(mine, "of-the-app")])
    assert "of-the" not in text
    *settings, nobody, admin, app = text.splitlines()
    assert settings == ["dir /data", "appendonly yes", "databases 21"]
    assert nobody == "user default off resetpass -@all"
    assert admin.startswith("user admin on #")
    assert admin.endswith(" ~* &* +@all")
    assert app.startswith("user orders.east on #")
    assert app.split()[4:6] == ["~orders||*", "-@all"]
    assert app.endswith(" +select|20 +scan")
    assert "databases 16\n" in users.redis_config(admin_password="", users=[]), "as many as Redis has anyway"


def test_another_redis_file_is_told_from_its_id() -> None:
    assert users.config_id("a") == users.config_id("a") != users.config_id("b")


def test_redis_in_a_cluster_keeps_its_users_in_a_secret() -> None:
    spec = redis_stateful_set.stateful_set_spec(image="redis:7", config_id="1")
    assert spec["template"]["metadata"]["annotations"] == {"multicluster-dapr/redis-config": "1"}
    pod = spec["template"]["spec"]
    assert pod["volumes"] == [{"name": "config", "secret": {"secretName": "multicluster-redis"}}]
    assert pod["containers"][0]["command"] == ["redis-server", "/usr/local/etc/redis/redis.conf"]
    assert spec["volumeClaimTemplates"][0]["spec"]["resources"] == {"requests": {"storage": "1Gi"}}


def test_redis_in_a_cluster_is_published_where_members_reach_it() -> None:
    (port,) = redis_stateful_set.service_spec(port=30379)["ports"]
    assert (port["port"], port["nodePort"]) == (6379, 30379)
    service = redis_stateful_set.service_spec(port=6379)
    assert (service["type"], service["ports"][0]["port"]) == ("LoadBalancer", 6379)


def test_dapr_values_follow_the_article() -> None:
    assert dapr.dapr_values(
        images="ghcr.io/dapr", version="1.18.2", issuer=None, storage_class="local-path"
    ) == {
        "global": {
            "registry": "ghcr.io/dapr",
            "tag": "1.18.2",
            "imagePullPolicy": "IfNotPresent",
            "mtls": {"enabled": False},
        },
        "dapr_scheduler": {"cluster": {"storageClassName": "local-path"}},
        "dapr_operator": {"watchInterval": "1m"},
    }


def test_dapr_without_a_scheduler_gets_no_values_for_one() -> None:
    values = dapr.dapr_values(images="ghcr.io/dapr", version="1.9.6", issuer=None, storage_class="local-path")
    assert set(values) == {"global"}


def test_the_flomesh_charts_get_the_articles_values() -> None:
    assert fsm.fsm_values() == {"fsm": {"logLevel": 5}}
    assert osm_edge.osm_values(dns_address="10.43.0.10") == {
        "osm": {
            "meshName": "osm",
            "osmNamespace": "osm-system",
            "certificateProvider": {"kind": "tresor"},
            "image": {"pullPolicy": "Always"},
            "sidecarLogLevel": "error",
            "controllerLogLevel": "warn",
            "localDNSProxy": {"enable": True, "primaryUpstreamDNSServerIPAddr": "10.43.0.10"},
        }
    }


def test_fsm_takes_a_kubeconfig_of_one_document() -> None:
    assert fsm.join_kubeconfig("---\napiVersion: v1\n") == "apiVersion: v1\n"
    assert fsm.join_spec(key="r/z/g/n", host="172.28.0.1", port=81, kubeconfig="k") == {
        "region": "r",
        "zone": "z",
        "group": "g",
        "gatewayHost": "172.28.0.1",
        "gatewayPort": 81,
        "kubeconfig": "k",
    }


def test_the_state_store_names_the_secret_and_holds_no_password() -> None:
    spec = state_store.state_store_spec(
        "172.28.0.1:6379", secret="redis", username="nodeapp", database=0, actors=False
    )
    assert spec == {
        "type": "state.redis",
        "version": "v1",
        "metadata": [
            {"name": "redisHost", "value": "172.28.0.1:6379"},
            {"name": "redisPassword", "secretKeyRef": {"name": "redis", "key": "redis-password"}},
            {"name": "keyPrefix", "value": "appid"},
            {"name": "redisUsername", "value": "nodeapp"},
        ],
    }


def test_a_state_store_of_a_member_alone_may_keep_actors() -> None:
    spec: Any = state_store.state_store_spec(
        "172.28.0.1:6379", secret="redis", username=None, database=2, actors=True
    )
    assert spec["metadata"][3:] == [
        {"name": "redisDB", "value": "2"},
        {"name": "actorStateStore", "value": "true"},
    ]


def test_the_gateways_arguments() -> None:
    assert gateway.gateway_arguments(cluster_key="a/b/c/d", front_door=True, access_log=False) == [
        "run",
        "--cluster-key=a/b/c/d",
        "--listen=[::]:8080",
        "--east-west=[::]:15080",
        "--service-ports=20000-20255",
        "--admin=[::]:9090",
        "--peers-key-file=/etc/gateway/peers/keys",
        "--no-access-log",
        "--front-door",
    ]
    assert gateway.gateway_arguments(
        cluster_key="a/b/c/d", front_door=False, access_log=True, trusted_proxies=("10.0.0.0/8",)
    )[-2:] == ["--access-log", "--trusted-proxies=10.0.0.0/8"]
    limits = {"stall_seconds": 90.0, "first_byte_seconds": 0.5}
    assert gateway.gateway_arguments(cluster_key="a/b/c/d", front_door=False, access_log=True, limits=limits)[
        -2:
    ] == ["--limit=first_byte_seconds=0.5", "--limit=stall_seconds=90"]
    assert hub.hub_arguments(cluster_key="a/b/c/d") == [
        "hub",
        "--admin=[::]:9090",
        "--cluster-key=a/b/c/d",
    ]


def test_the_gateways_service_is_a_node_port_or_a_load_balancer() -> None:
    port = {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}
    assert gateway.service_spec(node_port=30080, public_port=81) == {
        "type": "NodePort",
        "selector": {"app": "gateway"},
        "ports": [{**port, "nodePort": 30080}],
    }
    assert gateway.service_spec(node_port=None, public_port=8443) == {
        "type": "LoadBalancer",
        "selector": {"app": "gateway"},
        "ports": [{**port, "port": 8443}],
    }
    local = gateway.service_spec(node_port=30080, public_port=81, traffic_policy="Local")
    assert local["externalTrafficPolicy"] == "Local"


def test_imports_of_others_count_where_that_is_asked_for() -> None:
    given = {"cluster_key": "a/b/c/d", "front_door": False, "foreign_imports": True}
    assert "--foreign-imports" in gateway.gateway_arguments(access_log=True, **given)
    assert "--foreign-imports" in controller.controller_arguments(**given)


def test_pods_that_only_have_an_admin_page_are_listed_ready_or_not() -> None:
    """So that gateways know their addresses, and dial them for nobody."""
    spec = workload.admin_service_spec({"app": "controller"})
    assert (spec["clusterIP"], spec["publishNotReadyAddresses"]) == ("None", True)
    assert spec["selector"] == {"app": "controller"}


def test_guards_have_their_bindings_and_name_the_accounts_there_are(tmp_path: Path) -> None:
    found = {guard.what: guard for guard in guards.load_guards(guards.FOLDER)}
    owners = {"import": hub.NAME, "slice": controller.NAME, "date": controller.NAME}
    assert found.keys() == {*owners, "peer"}
    accounts = found.pop("peer").spec["variables"][1]["expression"]
    for name in (hub.NAME, controller.NAME):
        assert f"'system:serviceaccount:{workload.SYSTEM_NAMESPACE}:{name}'" in accounts
    for what, guard in found.items():
        account = f"'system:serviceaccount:{workload.SYSTEM_NAMESPACE}:{owners[what]}'"
        assert f"request.userInfo.username == {account}" in guard.spec["validations"][0]["expression"]
    other = tmp_path / "other.yaml"
    other.write_text((guards.FOLDER / "serviceimports.yaml").read_text().replace("[Deny, Audit]", "[Warn]"))
    with pytest.raises(ValueError, match="the binding is not that of multicluster-imports"):
        guards.load_guards(tmp_path)
    other.write_text("kind: Secret\n")
    with pytest.raises(ValueError, match="Secret"):
        guards.load_guards(tmp_path)


def test_the_gateways_pods_are_bound_to_as_little_as_they_need() -> None:
    template = workload.pod_template(
        labels={"app": "gateway"}, image="gateway:dev", digest="sha256:1", args=["run"], ports={}, cache=True
    )
    spec = template["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["volumeMounts"] == [{"name": "cache", "mountPath": "/var/cache/gateway"}]
    assert template["metadata"]["annotations"] == {"multicluster-dapr/image-digest": "sha256:1"}
    assert container["resources"] == {
        "requests": {"cpu": "50m", "memory": "64Mi"},
        "limits": {"memory": "256Mi"},
    }


def test_the_hubs_kubeconfig_is_self_contained() -> None:
    text = cluster_membership.hub_kubeconfig(
        cluster="cluster-1", server="https://172.28.0.1:6445", ca_base64="Q0E=", token="token"
    )
    assert yaml.safe_load(text) == {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "cluster-1",
                "cluster": {"server": "https://172.28.0.1:6445", "certificate-authority-data": "Q0E="},
            }
        ],
        "users": [{"name": "multicluster-hub-bootstrap", "user": {"token": "token"}}],
        "contexts": [
            {
                "name": "cluster-1",
                "context": {"cluster": "cluster-1", "user": "multicluster-hub-bootstrap"},
            }
        ],
        "current-context": "cluster-1",
    }


def test_the_hub_checks_the_certificate_for_the_name_that_the_kubeconfig_says() -> None:
    reached = {"cluster": "c", "server": "https://a", "ca_base64": "Q0E=", "token": "t"}
    (cluster,) = yaml.safe_load(cluster_membership.hub_kubeconfig(**reached, server_name="b"))["clusters"]
    assert cluster["cluster"]["tls-server-name"] == "b"


def test_a_membership_hands_the_hub_a_credential_to_begin_with(run: Any) -> None:
    recorder = run()
    kubeconfig = yaml.safe_load(
        recorder.find("cluster-2-membership-bootstrap-credential").inputs["stringData"]["kubeconfig"]
    )
    assert kubeconfig["clusters"][0]["cluster"]["server"] == "https://172.28.0.1:6446"
    assert kubeconfig["users"][0]["user"]["token"] == base64.b64decode("dG9rZW4=").decode()
    assert recorder.find("cluster-2-membership-cluster").inputs["spec"] == {
        "region": "default",
        "zone": "default",
        "group": "default",
        "gatewayHost": "172.28.0.1",
        "gatewayPort": 82,
        "gatewayPeersPort": 20082,
        "kubeconfigSecretRef": {"name": "cluster-2-hub-bootstrap", "key": "kubeconfig"},
        "tokenRequest": {
            "namespace": "multicluster-system",
            "serviceAccount": "multicluster-hub",
            "secret": "cluster-2-hub-token",
            "bootstrapSecret": "multicluster-hub-bootstrap",
        },
    }
    kept = recorder.find("cluster-2-membership-kept-secret").inputs
    assert kept == {**kept, "metadata": {"name": "cluster-2-hub-token", "namespace": "multicluster-system"}}
    assert not {"data", "stringData"} & set(kept), "what is in it is the hub's business"


def test_what_the_hub_begins_with_can_do_nothing_else(run: Any) -> None:
    recorder = run()
    secret = recorder.find("cluster-2-membership-bootstrap-token").inputs
    assert secret["type"] == "kubernetes.io/service-account-token"
    assert secret["metadata"]["annotations"] == {
        "kubernetes.io/service-account.name": "multicluster-hub-bootstrap"
    }
    ask = {
        "apiGroups": [""],
        "resources": ["serviceaccounts/token"],
        "verbs": ["create"],
        "resourceNames": ["multicluster-hub"],
    }
    of_bootstrap = [
        one.inputs["roleRef"]["name"]
        for one in recorder.registered
        for subject in one.inputs.get("subjects", ())
        if one.provider == "cluster-2-kubernetes" and subject["name"] == "multicluster-hub-bootstrap"
    ]
    assert of_bootstrap == ["multicluster-hub-bootstrap"]
    assert recorder.find("cluster-2-membership-bootstrap-role").inputs["rules"] == [ask]
    policy = recorder.find("cluster-2-membership-bootstrap-admission-policy").inputs["spec"]
    assert policy == hub_bootstrap.token_spec(namespace="multicluster-system")
    (rule,) = policy["validations"]
    assert rule["expression"] == f"object.spec.expirationSeconds <= {LIFE_SECONDS}"


def test_the_hub_writes_the_secret_of_its_token_alone(run: Any) -> None:
    recorder = run()
    assert recorder.find("cluster-2-membership-kept-role").inputs["rules"] == [
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "verbs": ["patch"],
            "resourceNames": ["cluster-2-hub-token"],
        }
    ]
    binding = recorder.find("cluster-2-membership-kept-binding")
    assert binding.provider == "control-plane-kubernetes"
    assert [subject["name"] for subject in binding.inputs["subjects"]] == ["multicluster-hub"]


def test_the_export_is_the_articles(run: Any) -> None:
    assert run().find("cluster-1-dapr-test-nodeapp-export-object").inputs["spec"] == {
        "serviceAccountName": "*",
        "pathRewrite": {"from": "^/nodeapp/?", "to": "/"},
        "rules": [{"portNumber": 3000, "path": "/nodeapp", "pathType": "Prefix"}],
    }


def test_an_export_says_what_differs_from_the_kinds_defaults(run: Any) -> None:
    def change(config: dict[str, Any]) -> None:
        config["exports"][0] |= {
            "serviceAccountName": "curl",
            "sessionSticky": True,
            "loadBalancer": "LeastWorkLoadBalancer",
            "targetClusters": ["default/default/default/cluster-2"],
            "host": "shop.example.com",
        }

    export = run("dev", change).find("cluster-1-dapr-test-nodeapp-export-object").inputs
    assert export["spec"] == {
        "serviceAccountName": "curl",
        "pathRewrite": {"from": "^/nodeapp/?", "to": "/"},
        "rules": [{"portNumber": 3000, "path": "/nodeapp", "pathType": "Prefix"}],
        "sessionSticky": True,
        "loadBalancer": "LeastWorkLoadBalancer",
        "targetClusters": ["default/default/default/cluster-2"],
    }
    assert export["metadata"]["annotations"]["multicluster.flomesh.io/host"] == "shop.example.com"


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("x86_64", "linux/amd64"),
        ("AMD64", "linux/amd64"),
        ("aarch64", "linux/arm64"),
        ("arm64", "linux/arm64"),
    ],
)
def test_images_are_built_for_this_machine(machine: str, expected: str) -> None:
    assert built_image.docker_platform(machine) == expected


def test_images_are_named_for_where_they_go() -> None:
    assert built_image.image_name("gateway", "") == "docker.io/multicluster-dapr/gateway:dev"
    assert built_image.image_name("gateway", "registry.local/x/") == "registry.local/x/gateway:dev"


def test_pods_name_one_content_of_an_image() -> None:
    name, digest = "docker.io/multicluster-dapr/gateway:dev", "sha256:" + "0123456789abcdef" * 4
    assert built_image.pinned(name, digest) == "docker.io/multicluster-dapr/gateway:0123456789ab"
    pushed = f"registry.local:5000/x/gateway@{digest}"
    assert built_image.pinned("registry.local:5000/x/gateway:dev", pushed) == pushed


def test_only_definitions_are_read_as_definitions(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: Pod\nmetadata: {name: a}\n")
    with pytest.raises(ValueError, match="holds a Pod"):
        crds.load_definitions(tmp_path)


def test_namespaces_exist_where_something_needs_them() -> None:
    parsed = loading.parse(read_environment("dev"))
    assert clusters.namespaces_of(parsed, "control-plane") == ("dapr-test",), "the hub imports there"
    assert clusters.namespaces_of(parsed, "cluster-1") == ("dapr-test",)
    assert clusters.namespaces_of(parsed, "cluster-2") == ("curl", "dapr-test")
