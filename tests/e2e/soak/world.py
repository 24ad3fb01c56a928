"""What the tool makes on the platform and takes away again: a good service, callers, a hostile tenant."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from e2e.load import Clusters, Kubectl, gateway_image

GOOD, EVIL = "soak", "evil"
"""Namespaces."""
ECHO, FAIL_OVER = "soak-echo", "soak-failover"
"""Good services: one that all exporters share, one with a policy that fails over."""
EXPORTERS = ("cluster-1", "cluster-3")
CALLER = "cluster-2"
TENANTS = "cluster-1"
"""Where the hostile tenant has a namespace, beside the good service."""
FLOMESH = "flomesh.io/v1alpha1"
EVERY_CALLER = {"multicluster.flomesh.io/every-caller": "true"}
LABELS = {"app": "soak"}
SCRIPTS = Path(__file__).parent
USER = 65532
GONE_SECONDS = 180.0
TENANT_RULES = [
    {"apiGroups": ["", "discovery.k8s.io"], "resources": ["services", "endpointslices"], "verbs": ["*"]},
    {
        "apiGroups": ["flomesh.io"],
        "resources": ["serviceexports", "serviceimports", "globaltrafficpolicies"],
        "verbs": ["*"],
    },
]


def script(name: str) -> str:
    return (SCRIPTS / f"{name}.py").read_text()


def made(api_version: str, kind: str, namespace: str, name: str, **rest: Any) -> dict[str, Any]:
    """An object of this tool's."""
    more = rest.pop("metadata", {})
    metadata = {**more, "name": name, "namespace": namespace, "labels": {**more.get("labels", {}), **LABELS}}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


def pod_spec(image: str, command: list[str], **container: Any) -> dict[str, Any]:
    """A pod of Python that has the least rights that a pod can have."""
    limits = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    first = {
        "name": "main", "image": image, "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-u", "-c", *command], "securityContext": limits, **container,
    }  # fmt: skip
    security = {"runAsNonRoot": True, "runAsUser": USER, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "containers": [first],
        "securityContext": security,
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
    }


def server(namespace: str, name: str, image: str, cluster: str) -> dict[str, Any]:
    probe = {"tcpSocket": {"port": 3000}, "periodSeconds": 1}
    spec = pod_spec(image, [script("echo"), name, cluster, "3000"], readinessProbe=probe)
    template = {"metadata": {"labels": {**LABELS, "serves": name}}, "spec": spec}
    selector = {"matchLabels": {"serves": name}}
    return made("apps/v1", "Deployment", namespace, name, spec={"selector": selector, "template": template})


def service(namespace: str, name: str, serves: str) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": 3000}]
    return made("v1", "Service", namespace, name, spec={"selector": {"serves": serves}, "ports": ports})


def export(name: str) -> dict[str, Any]:
    app_id = {"annotations": {"multicluster.flomesh.io/dapr-app-id": name}}
    rewrite = {"from": f"^/{name}/?", "to": "/"}
    rules = [{"portNumber": 80, "path": f"/{name}", "pathType": "Prefix"}]
    return made(
        FLOMESH, "ServiceExport", GOOD, name, metadata=app_id, spec={"rules": rules, "pathRewrite": rewrite}
    )


def policy(name: str, lb_type: str, *targets: str) -> dict[str, Any]:
    listed = [{"clusterKey": f"default/default/default/{one}", "weight": 100} for one in targets]
    return made(
        FLOMESH, "GlobalTrafficPolicy", GOOD, name,
        metadata={"annotations": EVERY_CALLER}, spec={"lbType": lb_type, "targets": listed},
    )  # fmt: skip


class World:
    """The objects of a run. Left behind by one that was killed, they are taken away first."""

    def __init__(self, clusters: Clusters, folder: Path) -> None:
        self._folder = folder
        self.clusters: Mapping[str, Kubectl] = {
            name: Kubectl(clusters.env, clusters.folder / name)
            for name in ("control-plane", "cluster-1", "cluster-2", "cluster-3")
        }
        self.caller = self.clusters[CALLER]
        self.image = gateway_image(self.caller)

    def __enter__(self) -> Self:
        self.remove()
        try:
            self._make()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def apply(self, cluster: str, *objects: dict[str, Any]) -> None:
        listed = {"kind": "List", "apiVersion": "v1", "items": list(objects)}
        self.clusters[cluster]("apply", "-f", "-", stdin=json.dumps(listed))

    def _make(self) -> None:
        dapr = {**LABELS, "multicluster.flomesh.io/dapr-callers": "true"}
        for name in self.clusters:
            good = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": GOOD, "labels": dapr}}
            evil = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": EVIL, "labels": LABELS}}
            self.apply(name, good, evil)
        for name in EXPORTERS:
            echo = server(GOOD, ECHO, self.image, name)
            services = [service(GOOD, one, ECHO) for one in (ECHO, FAIL_OVER)]
            self.apply(name, echo, *services, export(ECHO), export(FAIL_OVER))
        self.apply(TENANTS, server(EVIL, EVIL, self.image, TENANTS), service(EVIL, EVIL, EVIL))
        self.apply(CALLER, policy(ECHO, "ActiveActive"), policy(FAIL_OVER, "FailOver", "cluster-3"))
        for name in EXPORTERS:
            self.clusters[name]("-n", GOOD, "rollout", "status", f"deployment/{ECHO}", "--timeout=120s")
        self.clusters[TENANTS]("-n", EVIL, "rollout", "status", f"deployment/{EVIL}", "--timeout=120s")
        invocable = "--for=condition=DaprInvocable=True"
        self.caller("-n", GOOD, "wait", f"serviceimports.flomesh.io/{ECHO}", invocable, "--timeout=60s")

    def run(
        self, namespace: str, name: str, command: list[str], annotations: dict[str, str] | None = None
    ) -> None:
        """A pod in the caller's cluster that prints lines.

        With annotations it has a Dapr sidecar, which reads its secrets with the pod's token.
        """
        spec = {**pod_spec(self.image, command), "automountServiceAccountToken": bool(annotations)}
        self.apply(
            CALLER, made("v1", "Pod", namespace, name, metadata={"annotations": annotations or {}}, spec=spec)
        )
        self.caller("-n", namespace, "wait", f"pod/{name}", "--for=condition=Ready", "--timeout=120s")

    def tenant(self) -> Path:
        """A kubeconfig with rights in one namespace of one cluster."""
        kubectl = self.clusters[TENANTS]
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tenant"}
        subject = {"kind": "ServiceAccount", "name": "tenant", "namespace": EVIL}
        self.apply(
            TENANTS,
            made("v1", "ServiceAccount", EVIL, "tenant"),
            made("rbac.authorization.k8s.io/v1", "Role", EVIL, "tenant", rules=TENANT_RULES),
            made(
                "rbac.authorization.k8s.io/v1",
                "RoleBinding",
                EVIL,
                "tenant",
                roleRef=role,
                subjects=[subject],
            ),
        )
        token = kubectl("-n", EVIL, "create", "token", "tenant", "--duration=4h").strip()
        config = yaml.safe_load(kubectl.kubeconfig.read_text())
        config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
        path = self._folder / "tenant"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))
        return path

    def smuggled(self) -> list[str]:
        """Requests that a good server saw and nobody sent as such."""
        where = ("-n", GOOD, "logs", "-l", f"serves={ECHO}", "--tail=-1")
        lines = [line for name in EXPORTERS for line in self.clusters[name](*where).splitlines()]
        return [line for line in lines if line.startswith("smuggled")]

    def remove(self) -> None:
        for kubectl in self.clusters.values():
            with contextlib.suppress(AssertionError):
                kubectl("delete", "namespace", GOOD, EVIL, "--ignore-not-found", "--wait=false")
        for kubectl in self.clusters.values():
            deadline = time.monotonic() + GONE_SECONDS
            while kubectl("get", "namespace", GOOD, EVIL, "--ignore-not-found", "-o", "name").strip():
                assert time.monotonic() < deadline, f"namespaces {GOOD} and {EVIL} do not go"
                time.sleep(1)
