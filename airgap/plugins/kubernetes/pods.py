"""The pods and ReplicaSets behind a workload, and what they complain about."""

from typing import Any

from airgap.plugins.kubernetes.client import Client
from airgap.plugins.kubernetes.objects import metadata


async def owned(client: Client, owner: dict[str, Any], api_version: str, kind: str) -> list[dict[str, Any]]:
    """Objects of a kind in the owner's namespace that the owner controls."""
    meta = metadata(owner)
    found = await client.list(api_version, kind, meta["namespace"], labelSelector=selector(owner))
    return [
        one
        for one in found
        if any(o.get("uid") == meta["uid"] for o in metadata(one).get("ownerReferences") or [])
    ]


async def selected(client: Client, workload: dict[str, Any]) -> list[dict[str, Any]]:
    """The pods a workload selects."""
    return await client.list("v1", "Pod", metadata(workload)["namespace"], labelSelector=selector(workload))


def selector(workload: dict[str, Any]) -> str:
    """A workload's label selector as a query."""
    chosen = workload["spec"].get("selector") or {}
    terms = [f"{key}={value}" for key, value in (chosen.get("matchLabels") or {}).items()]
    for one in chosen.get("matchExpressions") or []:
        operator, values = one["operator"].lower(), ",".join(one.get("values") or [])
        bare = {"exists": one["key"], "doesnotexist": f"!{one['key']}"}
        terms.append(bare.get(operator, f"{one['key']} {operator} ({values})"))
    return ",".join(terms)


def problems(found: list[dict[str, Any]]) -> list[str]:
    """One line per pod problem: unscheduled, unready containers, containers that wait or died."""
    lines: dict[str, None] = {}
    for pod in found:
        status = pod.get("status", {})
        name = metadata(pod)["name"]
        for condition in status.get("conditions") or []:
            if condition.get("status") == "False" and condition.get("message"):
                text = f"[Pod {metadata(pod).get('namespace', '')}/{name}]: {condition['message']}"
                lines.setdefault(text)
        statuses = (status.get("containerStatuses") or []) + (status.get("initContainerStatuses") or [])
        for container in statuses:
            for state in ("waiting", "terminated"):
                found_state = (container.get("state") or {}).get(state) or {}
                if found_state.get("message") or found_state.get("reason") not in (
                    None,
                    "Completed",
                    "PodInitializing",
                ):
                    detail = found_state.get("message") or ""
                    if state == "terminated":
                        detail = detail or f"exit code {found_state.get('exitCode')}"
                    lines.setdefault(
                        f"[Pod {name}] container {container['name']}: [{found_state.get('reason')}] {detail}"
                    )
    return list(lines)
