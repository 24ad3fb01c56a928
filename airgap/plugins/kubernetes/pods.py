"""The pods and ReplicaSets behind a workload, and what they complain about."""

from typing import Any

from airgap.plugins.kubernetes.client import Client
from airgap.plugins.kubernetes.objects import annotation, metadata

REVISION = "deployment.kubernetes.io/revision"
_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")


async def replica_set(client: Client, deployment: dict[str, Any], revision: str) -> dict[str, Any]:
    """A Deployment's ReplicaSet of a revision, {} while there is none."""
    meta = metadata(deployment)
    for one in await client.list(
        "apps/v1", "ReplicaSet", meta["namespace"], labelSelector=_selector(deployment)
    ):
        owners = [owner.get("uid") for owner in metadata(one).get("ownerReferences") or []]
        if meta["uid"] in owners and annotation(one, REVISION) == revision:
            return one
    return {}


async def complaints(client: Client, workload: dict[str, Any]) -> list[str]:
    """What the pods of a workload complain about; [] for other kinds."""
    if workload["kind"] not in _WORKLOADS:
        return []
    namespace, selector = metadata(workload)["namespace"], _selector(workload)
    return problems(await client.list("v1", "Pod", namespace, labelSelector=selector))


def _selector(workload: dict[str, Any]) -> str:
    labels = (workload["spec"].get("selector") or {}).get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in labels.items())


def problems(found: list[dict[str, Any]]) -> list[str]:
    """One line per pod problem: unscheduled, unready containers, containers that wait or died."""
    lines: dict[str, None] = {}
    for pod in found:
        status, meta = pod.get("status", {}), metadata(pod)
        for condition in status.get("conditions") or []:
            if condition.get("status") == "False" and condition.get("message"):
                lines[f"[Pod {meta.get('namespace', '')}/{meta['name']}]: {condition['message']}"] = None
        containers = (status.get("containerStatuses") or []) + (status.get("initContainerStatuses") or [])
        for container in containers:
            for text in _container_problems(container.get("state") or {}):
                lines[f"[Pod {meta['name']}] container {container['name']}: {text}"] = None
    return list(lines)


def _container_problems(state: dict[str, Any]) -> list[str]:
    waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
    found = []
    if waiting and (waiting.get("message") or waiting.get("reason") != "PodInitializing"):
        found.append(f"[{waiting.get('reason')}] {waiting.get('message') or ''}")
    if ended and (ended.get("message") or ended.get("reason") != "Completed"):
        detail = ended.get("message") or f"exit code {ended.get('exitCode')}"
        found.append(f"[{ended.get('reason')}] {detail}")
    return found
