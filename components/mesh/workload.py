"""The pod template that gateway and hub share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..annotations import DIGEST_ANNOTATION
from ..pod_security import CONTAINER_SECURITY, POD_SECURITY

SYSTEM_NAMESPACE = "multicluster-system"
ADMIN_PORT = 9090
PROBE_SECONDS = 3
"""On a busy node an answer takes longer than Kubernetes' one second, and who is not ready is sent nothing."""


def pod_template(
    *,
    labels: Mapping[str, str],
    image: Any,
    digest: Any,
    args: Sequence[str],
    ports: Mapping[str, int],
    cache: bool,
    secrets: Mapping[str, tuple[str, str]] | None = None,
    files: Mapping[str, tuple[str, Any]] | None = None,
) -> dict[str, Any]:
    """Pod template of `gateway`: not root, read-only, probed on the admin port.

    `digest` is the image's content in full, for people. `cache` adds a writable folder for the last good
    objects. `secrets` are variables, each with a Secret and its key.
    `files` are volumes, each with its folder and the Secret whose keys are files there, which follow it; a
    pod starts when the Secret is there.
    """
    container: dict[str, Any] = {
        "name": labels["app"],
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": list(args),
        "env": [
            _field("POD_NAMESPACE", "metadata.namespace"),
            _field("POD_NAME", "metadata.name"),
            _field("POD_IP", "status.podIP"),
            *(
                {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
                for name, (secret, key) in (secrets or {}).items()
            ),
        ],
        "ports": [
            *({"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports.items()),
            {"name": "admin", "containerPort": ADMIN_PORT, "protocol": "TCP"},
        ],
        "livenessProbe": {
            "httpGet": {"path": "/livez", "port": "admin"},
            "periodSeconds": 10,
            "initialDelaySeconds": 10,
            "timeoutSeconds": PROBE_SECONDS,
        },
        "readinessProbe": {
            "httpGet": {"path": "/readyz", "port": "admin"},
            "periodSeconds": 1,
            "timeoutSeconds": PROBE_SECONDS,
        },
        "resources": {
            "requests": {"cpu": "50m", "memory": "64Mi"},
            "limits": {"memory": "256Mi"},
        },
        "securityContext": CONTAINER_SECURITY,
    }
    spec: dict[str, Any] = {
        "serviceAccountName": labels["app"],
        "terminationGracePeriodSeconds": 30,
        "securityContext": POD_SECURITY,
        "containers": [container],
    }
    mounts: list[dict[str, Any]] = []
    volumes: list[dict[str, Any]] = []
    if cache:
        mounts.append({"name": "cache", "mountPath": "/var/cache/gateway"})
        volumes.append({"name": "cache", "emptyDir": {"sizeLimit": "64Mi"}})
    for name, (folder, secret) in (files or {}).items():
        mounts.append({"name": name, "mountPath": folder, "readOnly": True})
        # Read by the group of the pod (fsGroup) and by nobody else.
        volumes.append({"name": name, "secret": {"secretName": secret, "defaultMode": 0o440}})
    if volumes:
        container["volumeMounts"] = mounts
        spec["volumes"] = volumes
    return {"metadata": {"labels": dict(labels), "annotations": {DIGEST_ANNOTATION: digest}}, "spec": spec}


def admin_service_spec(labels: Mapping[str, str]) -> dict[str, Any]:
    """Spec of a headless Service for the admin pages of pods that serve nothing else.

    By its slices, which have pods that are not ready too, gateways know the addresses that are no endpoints.
    """
    return {
        "clusterIP": "None",
        "selector": dict(labels),
        "publishNotReadyAddresses": True,
        "ports": [{"name": "admin", "port": ADMIN_PORT, "targetPort": "admin", "protocol": "TCP"}],
    }


def _field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
