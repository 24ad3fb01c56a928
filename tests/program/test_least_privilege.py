"""Gateway, controller and hub can do no more than they need: in their cluster, and on its nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from components.mesh import controller, gateway, hub, rbac

ENVIRONMENTS = ["dev", "existing", "scale"]
PEOPLES_OWN = {"", "apps", "batch", "rbac.authorization.k8s.io", "policy"}
"""API groups in which a writer could run something or raise its own rights."""


def _ours(recorder: Any, kind: str) -> Iterator[dict[str, Any]]:
    for resource in recorder.registered:
        if resource.type.endswith(f":{kind}") and resource.inputs.get("metadata"):
            name = str(resource.inputs["metadata"].get("name"))
            if name.startswith(("multicluster-", gateway.NAME, controller.NAME)):
                yield resource.inputs


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nobody_gets_a_role_of_kubernetes_own(environment: str, run: Any) -> None:
    recorder = run(environment)
    created = {role["metadata"]["name"] for kind in ("ClusterRole", "Role") for role in _ours(recorder, kind)}
    given = {
        binding["roleRef"]["name"]
        for kind in ("ClusterRoleBinding", "RoleBinding")
        for binding in _ours(recorder, kind)
    }
    assert given == created, "every role that is bound is one of ours, spelled out below"


SETS = (
    "GATEWAY", "GATEWAY_PEERS", "CONTROLLER", "CONTROLLER_PEERS", "CONTROLLER_OWN", "CONTROLLER_CERTIFICATES",
    "HUB", "HUB_PEERS", "HUB_HOME", "HUB_OWN", "HUB_BOOTSTRAP", "HUB_RENEWAL",
)  # fmt: skip
RULES = [(name, rule) for name in SETS for rule in getattr(rbac, name)]


@pytest.mark.parametrize(("name", "rule"), RULES)
def test_no_rule_says_everything(name: str, rule: dict[str, Any]) -> None:
    assert set(rule) - {"resourceNames"} == {"apiGroups", "resources", "verbs"}
    for part in rule.values():
        assert part, "an empty list allows nothing and hides a mistake"
        assert "*" not in part
    assert not {"escalate", "bind", "impersonate", "deletecollection"} & set(rule["verbs"])


def test_what_may_be_written_is_on_this_list() -> None:
    writing = {
        (name, group, resource)
        for name, rule in RULES
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        if set(rule["verbs"]) - set(rbac.READ) and group in PEOPLES_OWN
    }
    assert writing == {
        ("CONTROLLER", "", "services"),
        ("CONTROLLER", "", "endpoints"),
        ("CONTROLLER_CERTIFICATES", "", "secrets"),
        ("HUB", "", "events"),
        ("HUB_BOOTSTRAP", "", "serviceaccounts/token"),
        ("HUB_RENEWAL", "", "serviceaccounts/token"),
        ("HUB_RENEWAL", "", "secrets"),
    }, "Services and Endpoints of imports, certificates, events, its tokens: nothing that runs or grants"


def test_what_could_grant_is_bound_to_names() -> None:
    named = {
        (resource, *rule["resourceNames"])
        for _, rule in RULES
        for resource in rule["resources"]
        if rule.get("resourceNames")
    }
    assert named == {
        ("serviceaccounts/token", "multicluster-hub"),
        ("secrets", "multicluster-hub-bootstrap"),
        ("secrets", "gateway-ca", "gateway-certificate"),
        ("secrets", "gateway-own-ca"),
    }
    for name, rule in RULES:
        by_name = {"serviceaccounts/token", "secrets"} & set(rule["resources"]) and name != "HUB_OWN"
        if by_name and rule != rbac.rule("", ["secrets"], ["create"]):  # what is made has no name yet
            assert rule["resourceNames"], f"{name} has a right over every one"


def test_what_parses_the_networks_traffic_writes_nothing() -> None:
    assert all(rule["verbs"] == list(rbac.READ) for rule in (*rbac.GATEWAY, *rbac.GATEWAY_PEERS))


def test_secrets_are_read_by_the_hub_and_certificates_by_the_controller_at_home(run: Any) -> None:
    reading = [
        (name, rule.get("resourceNames"))
        for name, rule in RULES
        if "secrets" in rule["resources"] and set(rule["verbs"]) & set(rbac.READ)
    ]
    certificates = ["gateway-ca", "gateway-certificate"]
    assert reading == [
        ("CONTROLLER_CERTIFICATES", certificates),
        ("CONTROLLER_CERTIFICATES", ["gateway-own-ca"]),
        ("HUB_OWN", None),
    ]
    bound = run("dev")
    assert not any("secrets" in str(role["rules"]) for role in _ours(bound, "ClusterRole"))
    roles = {role["metadata"]["name"]: role for role in _ours(bound, "Role")}
    with_certificates = [*rbac.CONTROLLER_OWN, *rbac.CONTROLLER_CERTIFICATES]
    assert roles["multicluster-controller-own"]["rules"] == with_certificates
    assert roles["multicluster-hub-own"]["rules"] == list(rbac.HUB_OWN)
    assert {role["metadata"]["namespace"] for role in roles.values()} == {"multicluster-system"}
    bound = run("dev", lambda config: config.update({"gateway": {"mutualTls": "off"}}))
    roles = {role["metadata"]["name"]: role for role in _ours(bound, "Role")}
    assert roles["multicluster-controller-own"]["rules"] == list(rbac.CONTROLLER_OWN), "without mutual TLS"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_pods_meet_kubernetes_strictest_standard(environment: str, run: Any) -> None:
    recorder = run(environment)
    namespaces = list(_ours(recorder, "Namespace"))
    assert namespaces
    for namespace in namespaces:
        assert namespace["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}
    deployments = list(_ours(recorder, "Deployment"))
    assert {deployment["metadata"]["name"] for deployment in deployments} == {
        gateway.NAME,
        controller.NAME,
        hub.NAME,
    }
    for deployment in deployments:
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 10_000
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        for volume in pod.get("volumes", ()):
            of_secret = volume["name"] in ("peers-key", "certificate")
            assert set(volume) == {"name", "secret" if of_secret else "emptyDir"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]


def test_accounts_that_no_pod_runs_as_mount_no_token(run: Any) -> None:
    for resource in run("dev").registered:
        if resource.type.endswith(":ServiceAccount") and "membership" in resource.name:
            assert resource.inputs["automountServiceAccountToken"] is False, resource.name


def test_the_admin_pages_are_read_from_no_other_namespace(run: Any) -> None:
    policies = {
        one.inputs["metadata"]["namespace"]: one.inputs["spec"]
        for one in run("dev").registered
        if one.type.endswith(":NetworkPolicy")
    }
    assert set(policies) == {"multicluster-system"}
    (spec,) = policies.values()
    assert (spec["podSelector"], spec["policyTypes"]) == ({}, ["Ingress"]), "every pod of the namespace"
    for_all, for_readers = spec["ingress"]
    ports = [
        port
        for one in for_all["ports"]
        if one["protocol"] == "TCP"
        for port in range(int(one["port"]), int(one["endPort"]) + 1)
    ]
    assert sorted(ports) == [port for port in range(1, 65536) if port != 9090], (
        "any port but that of the pages"
    )
    assert for_readers["ports"] == [{"protocol": "TCP", "port": 9090}]
    assert for_readers["from"] == [
        {"podSelector": {}},
        {"namespaceSelector": {"matchLabels": {"multicluster.flomesh.io/metrics": "true"}}},
    ]


def test_where_a_cluster_exists_its_owner_says_whose_addresses_are_nodes(run: Any) -> None:
    assert not [one for one in run("existing").registered if one.type.endswith(":NetworkPolicy")]
    recorder = run(
        "existing", lambda config: config.update(gateway={"adminFrom": ["192.0.2.0/24", "192.0.2.1"]})
    )
    found = [one.inputs["spec"] for one in recorder.registered if one.type.endswith(":NetworkPolicy")]
    assert len(found) == 3
    for spec in found:
        blocks = [peer["ipBlock"]["cidr"] for peer in spec["ingress"][1]["from"] if "ipBlock" in peer]
        assert blocks == ["192.0.2.0/24", "192.0.2.1/32"], "an address is a range of one"


def test_several_hubs_elect_one() -> None:
    assert "--elect" not in hub.hub_arguments(cluster_key="a/b/c/d")
    assert "--elect" in hub.hub_arguments(cluster_key="a/b/c/d", replicas=2)
    (said,) = (
        argument
        for argument in hub.hub_arguments(
            cluster_key="a/b/c/d", paths=[{"prefix": "/", "namespaces": ["web"]}]
        )
        if argument.startswith("--paths")
    )
    assert said == '--paths=[{"prefix": "/", "namespaces": ["web"]}]'
    assert hub.deployment_spec(template={})["strategy"] == {"type": "Recreate"}
    assert hub.deployment_spec(template={}, replicas=2)["strategy"] == {"type": "RollingUpdate"}


def test_trusted_proxies_and_limits_reach_the_gateway(run: Any) -> None:
    networks = ["10.0.0.0/8", "192.0.2.1"]
    said = {"trustedProxies": networks, "firstByteSeconds": 60, "stallSeconds": 3600}
    recorder = run("existing", lambda config: config.update(gateway=said))
    for deployment in _ours(recorder, "Deployment"):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        if container["args"][0] == "run":
            assert "--trusted-proxies=10.0.0.0/8,192.0.2.1" in container["args"]
            limits = [argument for argument in container["args"] if argument.startswith("--limit")]
            assert limits == ["--limit=stall_seconds=3600"], "what is the gateway's own is not said"


def test_a_cluster_object_does_not_outlive_the_hub(run: Any) -> None:
    after = run("dev").find("cluster-1-membership-cluster").after
    assert "control-plane-hub-deployment" in after


def test_the_control_planes_word_reaches_the_hub(run: Any) -> None:
    def change(config: Any) -> None:
        config["clusters"][1]["mayExport"] = ["dapr-test", "b"]
        config["paths"] = [{"prefix": "/", "namespaces": ["web"], "clusters": ["cluster-1"]}]

    recorder = run("dev", change)
    assert recorder.find("cluster-1-membership-cluster").inputs["spec"]["mayExport"] == ["b", "dapr-test"]
    assert "mayExport" not in recorder.find("cluster-3-membership-cluster").inputs["spec"]
    (container,) = recorder.find("control-plane-hub-deployment").inputs["spec"]["template"]["spec"][
        "containers"
    ]
    key = "default/default/default/cluster-1"
    assert f'--paths=[{{"prefix": "/", "namespaces": ["web"], "clusters": ["{key}"]}}]' in container["args"]
