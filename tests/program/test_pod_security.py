"""Every workload of the program meets Kubernetes' `restricted` standard; every namespace names a standard.

https://kubernetes.io/docs/concepts/security/pod-security-standards/ of Kubernetes 1.34.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

VOLUMES = {
    *(
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ),
}
EXCEPT: Mapping[str, str] = {}
"""Workloads that do not meet it, each with the reason."""
NOT_OURS = {
    # Of charts, which bring what they need: osm-edge and FSM start pods that change the node's network.
    *(f"cluster-{n}-{chart}-namespace" for n in (1, 2, 3) for chart in ("fsm", "osm-edge", "dapr")),
    "control-plane-fsm-namespace",
    # Whose pods osm-edge adds such containers to.
    *(f"cluster-{n}-dapr-test" for n in (1, 2, 3)),
    "cluster-2-curl",
}
"""Namespaces of `mesh: flomesh` without a standard."""


def in_cluster(config: dict[str, Any]) -> None:
    config["redis"] = {"mode": "statefulset", "host": "192.0.2.10", "port": 30379}


def by_sidecar(config: dict[str, Any]) -> None:
    config["dapr"] = {"invoke": "sidecar", "mtls": True}


CASES: dict[str, tuple[str, Callable[[dict[str, Any]], None] | None]] = {
    "dev": ("dev", None),
    "dev with sidecars": ("dev", by_sidecar),
    "article": ("article", None),
    "existing": ("existing", None),
    "existing with Redis": ("existing", in_cluster),
}


def breaches(pod: Mapping[str, Any]) -> Iterator[str]:
    """What in the spec of a pod the standard does not let through."""
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield field
    for volume in pod.get("volumes", ()):
        if not (set(volume) - {"name"}) <= VOLUMES:
            yield f"volume {volume['name']}"
    common = pod.get("securityContext", {})
    containers = [*pod["containers"], *pod.get("initContainers", ())]
    assert containers
    for container in containers:
        name, own = container["name"], container.get("securityContext", {})
        said = {**{key: value for key, value in common.items() if key != "fsGroup"}, **own}
        if own.get("privileged") or any("hostPort" in port for port in container.get("ports", ())):
            yield f"{name}: the node"
        if own.get("allowPrivilegeEscalation") is not False:
            yield f"{name}: allowPrivilegeEscalation"
        if said.get("runAsNonRoot") is not True or said.get("runAsUser") == 0:
            yield f"{name}: runAsNonRoot"
        if said.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"}:
            yield f"{name}: seccompProfile"
        capabilities = own.get("capabilities", {})
        if "ALL" not in capabilities.get("drop", ()) or set(capabilities.get("add", ())) - {
            "NET_BIND_SERVICE"
        }:
            yield f"{name}: capabilities"


def templates(recorder: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Logical name and pod's spec of every workload."""
    for resource in recorder.registered:
        spec = resource.inputs.get("spec")
        if isinstance(spec, dict) and isinstance(spec.get("template"), dict):
            yield resource.name, spec["template"]["spec"]


@pytest.mark.parametrize("case", CASES)
def test_every_workload_meets_the_restricted_standard(case: str, run: Any) -> None:
    found = dict(templates(run(*CASES[case])))
    assert len(found) >= 3
    assert not {
        name: seen for name, pod in found.items() if (seen := list(breaches(pod))) and name not in EXCEPT
    }
    for name, pod in found.items():
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, name


def test_redis_is_among_them(run: Any) -> None:
    assert "redis-server" in dict(templates(run("existing", in_cluster)))


def test_the_breaches_are_seen() -> None:
    root = {"containers": [{"name": "a", "ports": [{"hostPort": 1}]}], "hostNetwork": True}
    assert list(breaches({**root, "volumes": [{"name": "v", "hostPath": {"path": "/"}}]})) == [
        "hostNetwork", "volume v", "a: the node", "a: allowPrivilegeEscalation", "a: runAsNonRoot",
        "a: seccompProfile", "a: capabilities",
    ]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_only_who_asks_the_api_has_a_token_for_it(case: str, run: Any) -> None:
    with_token = {
        name
        for name, pod in templates(run(*CASES[case]))
        if pod.get("automountServiceAccountToken") is not False
    }
    if case == "article":
        assert with_token == {
            "cluster-1-dapr-test-nodeapp-deployment",
            "cluster-3-dapr-test-nodeapp-deployment",
            "cluster-2-curl-curl-deployment",
        }, "whose Dapr has no other token"
    else:
        assert {name.rpartition("-")[0].rpartition("-")[2] for name in with_token} == {
            "gateway",
            "controller",
            "hub",
        }


@pytest.mark.parametrize("case", CASES)
def test_every_namespace_of_ours_names_a_standard(case: str, run: Any) -> None:
    standard = "pod-security.kubernetes.io/enforce"
    said = {
        resource.name: (resource.inputs["metadata"].get("labels") or {}).get(standard)
        for resource in run(*CASES[case]).registered
        if resource.type.endswith(":Namespace")
    }
    assert said
    without = {name for name, level in said.items() if level is None}
    assert without == (NOT_OURS if case == "article" else set())
    system = {level for name, level in said.items() if name.endswith("-gateway-namespace")}
    assert system <= {"restricted"}
