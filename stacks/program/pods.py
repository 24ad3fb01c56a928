"""Specs of an app's Deployment and Service, from its settings. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.annotations import DIGEST_ANNOTATION
from components.app.app import secret_name
from components.pod_security import CONTAINER_SECURITY, POD_SECURITY
from stacks.config.apps import AppSettings, DaprAppSettings
from stacks.config.model import ClusterSettings
from stacks.config.pods import (
    Amounts,
    EnvValue,
    KeyRef,
    PodSettings,
    ProbeSettings,
    ResourceSettings,
    SecuritySettings,
    VolumeSettings,
)


@dataclass(frozen=True, kw_only=True)
class Image:
    """What a cluster's nodes pull; `digest` is that of an image built here."""

    ref: Any
    digest: Any = None


def service_spec(app: AppSettings) -> dict[str, Any] | None:
    """Spec of the Service, if the app has ports."""
    ports = [
        _given({
            "name": port.name, "port": port.port, "targetPort": port.target_port or port.port,
            "protocol": "TCP", "appProtocol": port.app_protocol,
        })
        for port in app.ports
    ]  # fmt: skip
    return {"selector": dict(app.labels_of_pods), "ports": ports} if ports else None


def account(pod: PodSettings) -> dict[str, str] | None:
    """Annotations of the ServiceAccount that is made for it, if one is."""
    return dict(pod.service_account.annotations) if pod.service_account is not None else None


def secrets(pod: PodSettings) -> dict[str, str]:
    """The texts that its pods get from a Secret, by variable."""
    return {
        name: value.secret.get_secret_value() for name, value in pod.env.items() if value.secret is not None
    }


def deployment_spec(
    app: AppSettings,
    cluster: ClusterSettings,
    image: Image,
    restarts_with: Mapping[str, Any],
    *,
    old_dapr: bool = False,
) -> dict[str, Any]:
    """Spec of the Deployment on a cluster. `restarts_with` are annotations: a changed value restarts pods.

    `old_dapr`: its sidecars have no token but the account's (before 1.10).
    """
    pod, labels = app.on(cluster.name), dict(app.labels_of_pods)
    token = pod.security.token or (old_dapr and app.dapr is not None)
    annotations = {
        **(_dapr(app.service, app.dapr, token=token) if app.dapr is not None else {}),
        **({DIGEST_ANNOTATION: image.digest} if image.digest is not None else {}),
        **restarts_with,
        **pod.annotations,
    }
    return {
        "replicas": pod.replicas,
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": {**pod.labels, **labels}, "annotations": annotations},
            "spec": _given({
                "serviceAccountName": app.service if pod.service_account else pod.service_account_name,
                "automountServiceAccountToken": None if token else False,
                "imagePullSecrets": [{"name": name} for name in pod.image_pull_secrets],
                "securityContext": _pod_security(pod.security),
                "terminationGracePeriodSeconds": pod.termination_grace_period_seconds,
                "containers": [_container(app, pod, cluster, image)],
                "volumes": [_volume(number, volume) for number, volume in enumerate(pod.volumes)],
            }),
        },
    }  # fmt: skip


def _container(app: AppSettings, pod: PodSettings, cluster: ClusterSettings, image: Image) -> dict[str, Any]:
    listened = sorted({port.target_port or port.port for port in app.ports})
    probes = {f"{kind}Probe": _probe(probe, app) for kind, probe in pod.probes.by_kind.items()}
    return _given({
        "name": app.container or app.service,
        "image": image.ref,
        "imagePullPolicy": "IfNotPresent",
        "command": list(pod.command),
        "args": list(pod.args),
        "env": [
            {"name": name, **_env(app.service, name, value, cluster)} for name, value in pod.env.items()
        ],
        "ports": [{"containerPort": port, "protocol": "TCP"} for port in listened],
        **probes,
        "resources": _resources(pod.resources),
        "volumeMounts": [_mount(number, volume) for number, volume in enumerate(pod.volumes)],
        "securityContext": {
            **CONTAINER_SECURITY, "readOnlyRootFilesystem": pod.security.read_only_root_filesystem,
        },
    })  # fmt: skip


def _env(app: str, name: str, value: EnvValue, cluster: ClusterSettings) -> dict[str, Any]:
    if value.secret is not None:
        return {"valueFrom": {"secretKeyRef": {"name": secret_name(app), "key": name}}}
    if value.secret_key_ref is not None:
        return {"valueFrom": {"secretKeyRef": _ref(value.secret_key_ref)}}
    if value.config_map_key_ref is not None:
        return {"valueFrom": {"configMapKeyRef": _ref(value.config_map_key_ref)}}
    if value.field is not None:
        return {"valueFrom": {"fieldRef": {"fieldPath": value.field}}}
    return {"value": value.value if value.cluster is None else getattr(cluster, value.cluster)}


def _ref(key: KeyRef) -> dict[str, Any]:
    return {"name": key.name, "key": key.key}


def _probe(probe: ProbeSettings, app: AppSettings) -> dict[str, Any]:
    asked: dict[str, Any] = {"exec": {"command": list(probe.command)}}
    if not probe.command:
        port = probe.port or app.ports[0].target_port or app.ports[0].port
        asked = (
            {"httpGet": {"path": probe.path, "port": port}} if probe.path else {"tcpSocket": {"port": port}}
        )
    numbers = {
        "initialDelaySeconds": probe.initial_delay_seconds, "periodSeconds": probe.period_seconds,
        "timeoutSeconds": probe.timeout_seconds, "failureThreshold": probe.failure_threshold,
    }  # fmt: skip
    return asked | _given(numbers)


def _resources(resources: ResourceSettings) -> dict[str, Any]:
    return _given({"requests": _amounts(resources.requests), "limits": _amounts(resources.limits)})


def _amounts(amounts: Amounts) -> dict[str, Any]:
    return _given({"cpu": amounts.cpu, "memory": amounts.memory})


def _volume(number: int, volume: VolumeSettings) -> dict[str, Any]:
    source: dict[str, Any] = {"emptyDir": {}}
    if volume.secret is not None:
        source = {"secret": {"secretName": volume.secret}}
    elif volume.config_map is not None:
        source = {"configMap": {"name": volume.config_map}}
    elif volume.claim is not None:
        source = {"persistentVolumeClaim": {"claimName": volume.claim}}
    return {"name": f"volume-{number}", **source}


def _mount(number: int, volume: VolumeSettings) -> dict[str, Any]:
    mount = {"name": f"volume-{number}", "mountPath": volume.mount_path}
    return {**mount, "readOnly": True} if volume.read_only else mount


def _pod_security(security: SecuritySettings) -> dict[str, Any]:
    return POD_SECURITY | {
        "runAsNonRoot": security.run_as_non_root, "runAsUser": security.run_as_user,
        "runAsGroup": security.run_as_group, "fsGroup": security.fs_group,
    }  # fmt: skip


def _dapr(name: str, dapr: DaprAppSettings, *, token: bool) -> dict[str, str]:
    """Annotations for Dapr's injector. Without a token a sidecar reads no Secrets itself.

    Dapr's operator reads those that components name.
    """
    found = {
        "enabled": "true",
        "app-id": dapr.app_id or name,
        "app-port": str(dapr.app_port) if dapr.app_port is not None else None,
        "app-protocol": dapr.protocol if dapr.protocol != "http" else None,
        "config": dapr.config,
        "log-level": dapr.log_level if dapr.log_level != "info" else None,
        "enable-api-logging": "true" if dapr.api_logging else None,
        "sidecar-cpu-request": dapr.sidecar.cpu_request,
        "sidecar-cpu-limit": dapr.sidecar.cpu_limit,
        "sidecar-memory-request": dapr.sidecar.memory_request,
        "sidecar-memory-limit": dapr.sidecar.memory_limit,
    }
    found |= {} if token else {"disable-builtin-k8s-secret-store": "true"}
    return {f"dapr.io/{key}": value for key, value in found.items() if value is not None}


def _given(found: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is empty; False and 0 are not."""
    return {key: value for key, value in found.items() if value not in (None, [], {}, ())}
