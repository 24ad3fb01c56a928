"""Apps of the user's: what is rendered of an entry, and what is registered for it."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest
from config.environments import read_environment

from components.app import app as component
from components.mesh import app_ids
from stacks.config import loading
from stacks.program import clusters, pods

PLAIN = {"name": "checkout", "namespace": "shop", "clusters": ["cluster-1"], "image": "r/checkout:1"}
SHOP = {
    **PLAIN,
    "clusters": ["cluster-1", "cluster-2"],
    "replicas": 2,
    "command": ["/checkout"],
    "args": ["--serve"],
    "ports": [
        {"port": 80, "name": "http", "targetPort": 8080, "appProtocol": "http"},
        {"port": 9090, "name": "stats"},
    ],
    "env": {
        "MODE": "live",
        "HERE": {"cluster": "name"},
        "KEY": {"cluster": "key"},
        "TOKEN": {"secret": "a-token-of-this-test"},
        "DATABASE": {"secretKeyRef": {"name": "database", "key": "url"}},
        "RATES": {"configMapKeyRef": {"name": "rates", "key": "eur"}},
        "POD_IP": {"field": "status.podIP"},
    },
    "probes": {
        "readiness": {"path": "/healthz", "periodSeconds": 2},
        "liveness": {"command": ["true"], "failureThreshold": 5},
        "startup": {"port": 9090, "initialDelaySeconds": 1, "timeoutSeconds": 3},
    },
    "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
    "volumes": [
        {"mountPath": "/tmp", "emptyDir": True},
        {"mountPath": "/certs", "secret": "certs", "readOnly": True},
        {"mountPath": "/etc/checkout", "configMap": "checkout"},
        {"mountPath": "/data", "claim": "data"},
    ],
    "serviceAccountName": "checkout",
    "imagePullSecrets": ["registry"],
    "annotations": {"example.org/team": "shop"},
    "labels": {"part": "front", "app": "other"},
    "dapr": {
        "appId": "pay", "appPort": 8080, "protocol": "grpc", "config": "tracing", "logLevel": "debug",
        "apiLogging": True, "sidecar": {"cpuLimit": "300m", "memoryRequest": "32Mi"},
    },
    "overrides": {"cluster-2": {"replicas": 1, "env": {"MODE": "test"}, "security": {"runAsUser": 1000}}},
}  # fmt: skip


def rendered(entry: dict[str, Any], cluster: str = "cluster-1", **keys: Any) -> dict[str, Any]:
    """The Deployment's spec of an entry on a cluster."""
    config = read_environment("dev")
    settings = loading.parse({**config, "apps": [*config["apps"], entry]})
    where = next(one for one in settings.clusters if one.name == cluster)
    app = settings.apps[2]
    image = pods.Image(ref=app.on(cluster).image or "built:1")
    return pods.deployment_spec(app, where, keys.pop("image", image), keys.pop("restarts_with", {}), **keys)


def test_a_plain_app_meets_the_restricted_standard() -> None:
    assert rendered(PLAIN) == {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "checkout"}},
        "template": {
            "metadata": {"labels": {"app": "checkout"}, "annotations": {}},
            "spec": {
                "automountServiceAccountToken": False,
                "securityContext": {
                    "runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [{
                    "name": "checkout",
                    "image": "r/checkout:1",
                    "imagePullPolicy": "IfNotPresent",
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }],
            },
        },
    }  # fmt: skip


def test_everything_that_an_entry_says_is_in_its_pods() -> None:
    spec = rendered(SHOP)
    assert spec["replicas"] == 2
    assert spec["template"]["metadata"] == {
        "labels": {"part": "front", "app": "checkout"},
        "annotations": {
            "dapr.io/enabled": "true",
            "dapr.io/app-id": "pay",
            "dapr.io/app-port": "8080",
            "dapr.io/app-protocol": "grpc",
            "dapr.io/config": "tracing",
            "dapr.io/log-level": "debug",
            "dapr.io/enable-api-logging": "true",
            "dapr.io/sidecar-cpu-limit": "300m",
            "dapr.io/sidecar-memory-request": "32Mi",
            "dapr.io/disable-builtin-k8s-secret-store": "true",
            "example.org/team": "shop",
        },
    }
    pod = spec["template"]["spec"]
    assert (pod["serviceAccountName"], pod["imagePullSecrets"]) == ("checkout", [{"name": "registry"}])
    assert pod["volumes"] == [
        {"name": "volume-0", "emptyDir": {}},
        {"name": "volume-1", "secret": {"secretName": "certs"}},
        {"name": "volume-2", "configMap": {"name": "checkout"}},
        {"name": "volume-3", "persistentVolumeClaim": {"claimName": "data"}},
    ]
    (container,) = pod["containers"]
    assert (container["command"], container["args"]) == (["/checkout"], ["--serve"])
    assert [port["containerPort"] for port in container["ports"]] == [8080, 9090]
    assert container["resources"] == SHOP["resources"]
    assert container["volumeMounts"][:2] == [
        {"name": "volume-0", "mountPath": "/tmp"},
        {"name": "volume-1", "mountPath": "/certs", "readOnly": True},
    ]
    assert container["readinessProbe"] == {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 2}
    assert container["livenessProbe"] == {"exec": {"command": ["true"]}, "failureThreshold": 5}
    assert container["startupProbe"] == {
        "tcpSocket": {"port": 9090}, "initialDelaySeconds": 1, "timeoutSeconds": 3,
    }  # fmt: skip


def test_variables_come_from_where_they_are() -> None:
    def refer(kind: str, name: str, key: str) -> dict[str, Any]:
        return {kind: {"name": name, "key": key}}

    (container,) = rendered(SHOP)["template"]["spec"]["containers"]
    assert {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]} == {
        "MODE": "live",
        "HERE": "cluster-1",
        "KEY": "default/default/default/cluster-1",
        "TOKEN": refer("secretKeyRef", "checkout-env", "TOKEN"),
        "DATABASE": refer("secretKeyRef", "database", "url"),
        "RATES": refer("configMapKeyRef", "rates", "eur"),
        "POD_IP": {"fieldRef": {"fieldPath": "status.podIP"}},
    }


def test_a_cluster_has_what_differs_there() -> None:
    spec = rendered(SHOP, "cluster-2")
    (container,) = spec["template"]["spec"]["containers"]
    values = {one["name"]: one.get("value") for one in container["env"]}
    assert (spec["replicas"], values["MODE"], values["HERE"]) == (1, "test", "cluster-2")
    assert spec["template"]["spec"]["securityContext"]["runAsUser"] == 1000


@pytest.mark.parametrize(
    ("entry", "old", "token"),
    [
        (PLAIN, True, False),
        ({**PLAIN, "dapr": {}}, False, False),
        ({**PLAIN, "dapr": {}}, True, True),
        ({**PLAIN, "dapr": {}, "security": {"token": True}}, False, True),
    ],
)
def test_pods_get_a_token_only_when_they_need_one(entry: dict[str, Any], old: bool, token: bool) -> None:
    template = rendered(entry, old_dapr=old)["template"]
    assert ("automountServiceAccountToken" not in template["spec"]) is token
    secrets = "dapr.io/disable-builtin-k8s-secret-store"
    assert (template["metadata"]["annotations"].get(secrets) == "true") is ("dapr" in entry and not token)


def test_a_user_may_say_otherwise_what_pods_may_do() -> None:
    said = {"runAsUser": 0, "runAsNonRoot": False, "readOnlyRootFilesystem": False}
    pod = rendered({**PLAIN, "security": said})["template"]["spec"]
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsNonRoot"]) == (0, False)
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is False


def test_an_app_is_registered_on_its_clusters_with_its_secret(run: Any) -> None:
    recorder = run("dev", lambda config: config["apps"].append(SHOP))
    names = {r.name for r in recorder.registered if "shop-checkout" in r.name}
    assert {n.removeprefix("cluster-1-shop-checkout") for n in names if n.startswith("cluster-1")} == {
        "", "-secret", "-deployment", "-service",
    }  # fmt: skip
    secret = recorder.find("cluster-1-shop-checkout-secret")
    assert secret.inputs["stringData"] == {"TOKEN": "a-token-of-this-test"}
    assert "a-token" not in str(secret.in_clear)
    assert secret.inputs["metadata"]["name"] == "checkout-env"
    assert "a-token" not in str(recorder.find("cluster-1-shop-checkout-deployment").inputs)
    assert "cluster-1-shop-checkout-secret" in recorder.find("cluster-1-shop-checkout-deployment").after
    assert recorder.find("cluster-1-shop-checkout-service").inputs["spec"] == {
        "selector": {"app": "checkout"},
        "ports": [
            {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP", "appProtocol": "http"},
            {"name": "stats", "port": 9090, "targetPort": 9090, "protocol": "TCP"},
        ],
    }
    assert "cluster-1-dapr-release" in recorder.find("cluster-1-shop-checkout").after


def test_another_secret_restarts_the_pods() -> None:
    spec = {"replicas": 1, "template": {"metadata": {"annotations": {"a": "b"}}, "spec": {}}}
    assert component.restarting(spec, "7")["template"] == {
        "metadata": {"annotations": {"a": "b", "multicluster-dapr/secret-version": "7"}}, "spec": {},
    }  # fmt: skip


def test_an_app_that_is_built_is_brought_to_its_clusters_and_exported_by_its_app_id(run: Any) -> None:
    built = {
        "name": "pay", "namespace": "shop", "clusters": ["cluster-1"], "build": "apps/pay",
        "ports": [{"port": 80}], "dapr": {"appPort": 80},
    }  # fmt: skip
    export = {"service": "pay", "namespace": "shop", "clusters": ["cluster-1"], "rules": [{"portNumber": 80}]}

    def add(config: dict[str, Any]) -> None:
        config["apps"].append(built)
        config["exports"].append(export)

    recorder = run("dev", add)
    assert recorder.find("pay-image").inputs["build"]["context"] == "apps/pay"
    assert "pay-image" in recorder.find("cluster-1-images-k3d").after
    assert "pay-image" not in recorder.find("cluster-2-images-k3d").after
    template = recorder.find("cluster-1-shop-pay-deployment").inputs["spec"]["template"]
    assert template["metadata"]["annotations"]["multicluster-dapr/image-digest"] == "sha256:pay-image"
    annotations = recorder.find("cluster-1-shop-pay-export-object").inputs["metadata"]["annotations"]
    assert annotations == {app_ids.APP_ID: "pay"}


def test_namespaces_of_apps_without_dapr_have_no_callers() -> None:
    config = read_environment("dev")
    settings = loading.parse({**config, "apps": [*config["apps"], PLAIN]})
    (one,) = (cluster for cluster in settings.clusters if cluster.name == "cluster-1")
    assert app_ids.CALLERS.items() & clusters._namespace(settings, one, "shop")["labels"].items() == set()
    assert "shop" in clusters.namespaces_of(settings, "cluster-1")


def test_what_nodeapp_begins_with_is_as_in_the_article() -> None:
    settings = loading.parse(read_environment("dev"))
    image = pods.Image(ref="nodeapp:1", digest="sha256:1")
    spec = pods.deployment_spec(settings.apps[0], settings.members[0], image, {})
    assert spec["selector"] == {"matchLabels": {"app": "node"}}
    assert spec["template"]["metadata"] == {
        "labels": {"app": "node"},
        "annotations": {
            "dapr.io/enabled": "true",
            "dapr.io/app-id": "nodeapp",
            "dapr.io/app-port": "3000",
            "dapr.io/enable-api-logging": "true",
            "dapr.io/disable-builtin-k8s-secret-store": "true",
            "multicluster-dapr/image-digest": "sha256:1",
        },
    }
    (container,) = spec["template"]["spec"]["containers"]
    assert (container["name"], container["image"]) == ("node", "nodeapp:1")
    assert container["env"] == [
        {"name": "APP_PORT", "value": "3000"},
        {"name": "CLUSTER_NAME", "value": "cluster-1"},
        {"name": "DAPR_MODE", "value": "install"},
    ]
    probe = {"httpGet": {"path": "/readyz", "port": 3000}, "periodSeconds": 2, "timeoutSeconds": 3}
    assert container["readinessProbe"] == probe
    service = pods.service_spec(settings.apps[0])
    assert service == {
        "selector": {"app": "node"},
        "ports": [{"protocol": "TCP", "port": 3000, "targetPort": 3000}],
    }


def test_what_curl_begins_with_sleeps_with_a_sidecar(run: Any) -> None:
    recorder = run()
    account = recorder.find("cluster-2-curl-curl-account").inputs["metadata"]
    assert (account["name"], account.get("annotations")) == ("curl", None)
    found = recorder.find("cluster-2-curl-curl-deployment")
    assert "cluster-2-curl-curl-account" in found.after
    template = found.inputs["spec"]["template"]
    annotations = template["metadata"]["annotations"]
    assert {name: text for name, text in annotations.items() if name.startswith("dapr.io/")} == {
        "dapr.io/enabled": "true",
        "dapr.io/app-id": "curl",
        "dapr.io/enable-api-logging": "true",
        "dapr.io/log-level": "debug",
        "dapr.io/disable-builtin-k8s-secret-store": "true",
    }
    pod = template["spec"]
    assert (pod["serviceAccountName"], pod["terminationGracePeriodSeconds"]) == ("curl", 1)
    (container,) = pod["containers"]
    assert (container["name"], container["command"]) == ("curl", ["sleep", "365d"])
    assert container["image"].startswith("docker.io/curlimages/curl:")


def test_an_account_of_an_app_may_have_the_identity_of_a_cloud(run: Any) -> None:
    app = {**PLAIN, "serviceAccount": {"annotations": {"iam.example.org/role": "shop"}}}
    recorder = run("dev", lambda config: config["apps"].append(app))
    account = recorder.find("cluster-1-shop-checkout-account").inputs["metadata"]
    assert account["annotations"] == {"iam.example.org/role": "shop"}
    assert account["labels"] == {"app": "checkout"}


def test_an_environment_of_before_keeps_its_apps(monkeypatch: pytest.MonkeyPatch, run: Any) -> None:
    """The types that its state has are aliases of those of now, and all names are what they were."""
    seen: dict[str, list[Any]] = {}
    real = pulumi.ComponentResource.__init__

    def spy(self: Any, token: str, name: str, props: Any, opts: Any, *rest: Any) -> None:
        seen[name] = [alias.type_ for alias in (opts.aliases if opts else None) or []]
        real(self, token, name, props, opts, *rest)

    monkeypatch.setattr(pulumi.ComponentResource, "__init__", spy)
    run("dev", lambda _: None)
    token = "multicluster-dapr:{}".format
    for name, former in (
        ("cluster-1-dapr-test-nodeapp", "app:NodeApp"),
        ("cluster-2-curl-curl", "app:CurlClient"),
        ("cluster-1-dapr-test-statestore", "dapr:StateStore"),
    ):
        assert token(former) in seen[name]
