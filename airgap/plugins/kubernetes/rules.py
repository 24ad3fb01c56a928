"""When an object counts as ready: one rule per kind; kinds without one are ready at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from airgap.plugins.base.logs import Log
from airgap.plugins.kubernetes import pods
from airgap.plugins.kubernetes.client import Client
from airgap.plugins.kubernetes.objects import annotation, metadata, object_id

_SETTLE_SECONDS = 10.0  # how long a Service's endpoints must be quiet


class FailedForGoodError(Exception):
    """The object says itself that it will never be ready."""


@dataclass
class Wait:
    """What a rule may use and remember between looks at one object."""

    client: Client
    log: Log
    cancelled: asyncio.Event
    timeout: float = 0.0  # seconds of customTimeouts, 0 when the user gave none
    memory: dict[str, Any] = field(default_factory=dict)


# Answers what the object lacks, [] when it is ready. Raises FailedForGoodError.
Rule = Callable[[Wait, dict[str, Any]], Awaitable[list[str]]]


def condition(live: dict[str, Any], kind: str) -> dict[str, Any]:
    """One of the object's conditions, {} when it has none of that type."""
    conditions = live.get("status", {}).get("conditions") or []
    return next((dict(one) for one in conditions if one.get("type", "").lower() == kind.lower()), {})


def unseen(live: dict[str, Any]) -> list[str]:
    """What to wait for until the object's controller has seen its newest generation, as it says."""
    late = live.get("status", {}).get("observedGeneration", 0) < metadata(live).get("generation", 0)
    return [f"Waiting for the {live['kind']} controller to see the change"] if late else []


def _words(one: dict[str, Any]) -> str:
    return f"[{one.get('reason', '')}] {one.get('message', '')}"


async def _deployment(wait: Wait, live: dict[str, Any]) -> list[str]:
    if late := unseen(live):
        return late
    if live["spec"].get("replicas") == 0:
        return []
    reasons = []
    progressing, available = condition(live, "Progressing"), condition(live, "Available")
    revision = annotation(live, pods.REVISION)
    stuck = progressing.get("status") == "False"
    if stuck:
        reasons.append(_words(progressing))
    if available.get("status") != "True":
        reasons.append(_words(available) if available else "Minimum number of Pods was not available")
    if revision != "1" and progressing.get("reason") != "NewReplicaSetAvailable":
        reasons.append("Waiting for the new ReplicaSet to be available")
    if not stuck:
        current = await pods.replica_set(wait.client, live, revision)
        wanted = current.get("spec", {}).get("replicas", 0) if current else 1
        ready = current.get("status", {}).get("readyReplicas", 0)
        if ready < wanted:
            reasons.append(f"Waiting for app ReplicaSet to be available ({ready}/{wanted} Pods available)")
    return reasons


async def _stateful_set(wait: Wait, live: dict[str, Any]) -> list[str]:  # noqa: ARG001
    if late := unseen(live):
        return late
    spec, status = live["spec"], live["status"]
    wanted, ready = spec.get("replicas", 1), status.get("readyReplicas", 0)
    if status.get("replicas", 0) != wanted or ready != wanted:
        return [f"Waiting for StatefulSet to be ready ({ready}/{wanted} Pods ready)"]
    by_hand = spec.get("updateStrategy", {}).get("type") == "OnDelete" and metadata(live)["generation"] > 1
    moved = status.get("currentRevision") == status.get("updateRevision")
    if not by_hand and not (moved and status.get("currentReplicas", 0) == wanted):
        return ["Waiting for StatefulSet update to roll out"]
    return []


async def _daemon_set(wait: Wait, live: dict[str, Any]) -> list[str]:  # noqa: ARG001
    status = live.get("status", {})
    wanted = status.get("desiredNumberScheduled", 0)
    names = ("currentNumberScheduled", "updatedNumberScheduled", "numberAvailable", "numberReady")
    short = [name for name in names if status.get(name, 0) < wanted]
    return unseen(live) or [
        f"Waiting for DaemonSet to be ready ({name} {status.get(name, 0)}/{wanted})" for name in short[:1]
    ]


async def _service(wait: Wait, live: dict[str, Any]) -> list[str]:
    meta, spec = metadata(live), live["spec"]
    if spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None" or not spec.get("selector"):
        return []
    kind = await wait.client.kind("v1", "Endpoints")
    endpoints = await wait.client.get(kind, meta["namespace"], meta["name"])
    if endpoints is None:
        hint = "Selected Pods may not be ready, or field '.spec.selector' may not match labels on any Pods"
        return [f"Service does not target any Pods. {hint}"]
    version = metadata(endpoints).get("resourceVersion")
    if wait.memory.get("version") != version:
        wait.memory |= {"version": version, "since": time.monotonic()}
    if any(subset.get("notReadyAddresses") for subset in endpoints.get("subsets") or []):
        return ["Waiting for the Pods of the Service to be ready"]
    addresses = live.get("status", {}).get("loadBalancer", {}).get("ingress")
    if spec.get("type") == "LoadBalancer" and not addresses:
        return ["Service was not allocated an IP address; does your cloud provider support this?"]
    if time.monotonic() - wait.memory["since"] < _SETTLE_SECONDS:
        return ["Waiting for the endpoints of the Service to settle"]
    return []


async def _job(wait: Wait, live: dict[str, Any]) -> list[str]:  # noqa: ARG001
    failed = condition(live, "Failed")
    if failed.get("status") == "True":
        raise FailedForGoodError(_words(failed))
    if live.get("status", {}).get("startTime") and condition(live, "Complete").get("status") == "True":
        return []
    return [f'Waiting for Job "{object_id(live)}" to succeed']


async def _pod(wait: Wait, live: dict[str, Any]) -> list[str]:  # noqa: ARG001
    if live.get("status", {}).get("phase") == "Succeeded":
        return []
    for name in ("PodScheduled", "Initialized", "Ready"):
        if condition(live, name).get("status") != "True":
            return [f"Waiting for Pod to be {name}", *pods.problems([live])]
    return []


async def _definition(wait: Wait, live: dict[str, Any]) -> list[str]:  # noqa: ARG001
    """Not waited for by the official plugin; here it spares custom resources their first refusal."""
    refused = condition(live, "NamesAccepted")
    if refused.get("status") == "False":
        raise FailedForGoodError(_words(refused))
    established = condition(live, "Established").get("status") == "True"
    return [] if established else ["Waiting for the CustomResourceDefinition to be established"]


async def _service_account_token(wait: Wait, live: dict[str, Any]) -> list[str]:  # noqa: ARG001
    if live.get("type") != "kubernetes.io/service-account-token" or live.get("data"):
        return []
    return ["Waiting for the token of the ServiceAccount"]


RULES: dict[tuple[str, str], Rule] = {
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"): _definition,
    ("apps/v1", "Deployment"): _deployment,
    ("apps/v1", "StatefulSet"): _stateful_set,
    ("apps/v1", "DaemonSet"): _daemon_set,
    ("batch/v1", "Job"): _job,
    ("v1", "Pod"): _pod,
    ("v1", "Service"): _service,
    ("v1", "Secret"): _service_account_token,
}
