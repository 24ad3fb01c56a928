"""When an object counts as ready: one rule per kind, and the loop that waits for it."""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from airgap.plugins.base.logs import Log
from airgap.plugins.base.provider import ProviderError
from airgap.plugins.kubernetes import pods
from airgap.plugins.kubernetes.client import ApiError, Client, Kind
from airgap.plugins.kubernetes.objects import annotation, metadata

DEFAULT_SECONDS = 600.0
_FIRST_POLL_SECONDS = 0.05
_POLL_SECONDS = 0.5
_TOKEN_SECONDS = 30.0  # the official plugin gives up after 5, too few for a machine that makes four clusters
_SETTLE_SECONDS = 10.0  # how long a Service's endpoints must be quiet


class NotReadyError(Exception):
    """Waiting ended without success; `live` is the last object seen, `reasons` what it lacked."""

    def __init__(self, message: str, live: dict[str, Any], reasons: list[str]) -> None:
        super().__init__(message)
        self.live = live
        self.reasons = reasons


class FailedForGoodError(Exception):
    """The object says itself that it will never be ready."""


@dataclass
class Wait:
    """What a rule may use and remember between looks at one object."""

    client: Client
    log: Log
    cancelled: asyncio.Event
    timeout: float = 0.0  # seconds of customTimeouts, 0 when the user gave none
    started: float = field(default_factory=time.monotonic)
    memory: dict[str, Any] = field(default_factory=dict)


Rule = Callable[[Wait, dict[str, Any]], Awaitable[list[str]]]


async def wait_ready(wait: Wait, kind: Kind, live: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    """Wait until `live` is ready by its rule; answers the last object. Raises NotReadyError."""
    if annotation(inputs, "pulumi.com/skipAwait") == "true":
        return live
    rule = custom_rule(annotation(inputs, "pulumi.com/waitFor")) or _RULES.get((kind.api_version, kind.kind))
    if rule is None:
        return live
    seconds = wait.timeout or _annotated_seconds(inputs) or DEFAULT_SECONDS
    if (kind.api_version, kind.kind) == ("v1", "Secret"):
        seconds = _TOKEN_SECONDS
    meta = metadata(live)
    shown, pause = "", _FIRST_POLL_SECONDS
    while True:
        try:
            reasons = await rule(wait, live)
        except FailedForGoodError as error:
            message = f"Resource '{meta['name']}' was created but failed to initialize"
            raise NotReadyError(message, live, [str(error)]) from error
        if not reasons:
            wait.log.status("")
            return live
        if reasons[0] != shown:
            shown = reasons[0]
            wait.log.status(shown)
        if time.monotonic() - wait.started >= seconds:
            reasons = await _explained(wait, kind, live, reasons)
            raise NotReadyError(f"'{meta['name']}' timed out waiting to be Ready", live, reasons)
        if await sleep_or(wait.cancelled, pause):
            message = f'Resource operation was cancelled for "{meta["name"]}"'
            raise NotReadyError(message, live, reasons)
        pause = min(pause * 1.5, _POLL_SECONDS)
        live = await _look(wait, kind, live)


async def sleep_or(event: asyncio.Event, seconds: float) -> bool:
    """Sleep until the time is over (False) or the event is set (True)."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def _look(wait: Wait, kind: Kind, live: dict[str, Any]) -> dict[str, Any]:
    """The object as it is now; as it was when the API server pauses: the deadline still holds."""
    meta = metadata(live)
    try:
        return await wait.client.get(kind, meta.get("namespace", ""), meta["name"])
    except ApiError as error:
        if error.code != 404:
            return live
        gone = f'{kind.kind} "{meta["name"]}" was deleted while waiting for it'
        raise NotReadyError(gone, live, [gone]) from error
    except OSError:
        return live


async def first_look(client: Client, kind: Kind, live: dict[str, Any], log: Log) -> list[str]:
    """What an object lacks right now, for a refresh; [] when it is ready."""
    if annotation(live, "pulumi.com/skipAwait") == "true" or kind.kind in ("Service", "Secret"):
        return []
    rule = _RULES.get((kind.api_version, kind.kind))
    try:
        return await rule(Wait(client, log, asyncio.Event()), live) if rule else []
    except FailedForGoodError as error:
        return [str(error)]


def _annotated_seconds(inputs: dict[str, Any]) -> float:
    text = annotation(inputs, "pulumi.com/timeoutSeconds")
    return float(text) if text.isdigit() else 0.0


def custom_rule(text: str) -> Rule | None:
    """The rule of a pulumi.com/waitFor annotation: a jsonpath, a condition, or a JSON list of them."""
    if not text:
        return None
    expressions = [text]
    if text.lstrip().startswith("["):
        try:
            expressions = json.loads(text)
        except ValueError as error:
            raise ProviderError(f"invalid pulumi.com/waitFor annotation {text!r}: {error}") from error
    checks = [_expression(one) for one in expressions]

    async def rule(wait: Wait, live: dict[str, Any]) -> list[str]:  # noqa: ARG001
        return [missing for check in checks if (missing := check(live))]

    return rule


def _expression(text: str) -> Callable[[dict[str, Any]], str]:
    path = re.fullmatch(r"jsonpath=\{?\.?([^{}=]+)\}?(?:=(.*))?", text)
    condition = re.fullmatch(r"condition=([^=]+)(?:=(.*))?", text)
    if path:
        parts = re.findall(r"""([^.\[\]'"]+)|\[['"]?([^\]'"]+)['"]?\]""", path[1])
        names = [bare or bracket for bare, bracket in parts]
        wanted = path[2]

        def by_path(live: dict[str, Any]) -> str:
            value: Any = live
            for name in names:
                if isinstance(value, list) and name.isdigit() and int(name) < len(value):
                    value = value[int(name)]
                elif isinstance(value, dict) and name in value:
                    value = value[name]
                else:
                    return f"Missing {text.removeprefix('jsonpath=')}"
            found = value if isinstance(value, str) else json.dumps(value)
            return (
                "" if wanted is None or found == wanted.strip("'\"") else f"Waiting for {text} (now {found})"
            )

        return by_path
    if condition:

        def by_condition(live: dict[str, Any]) -> str:
            if not _observed(live):
                return "Waiting for the controller to see the change"
            found = _condition(live, condition[1])
            wanted = condition[2] or "True"
            return "" if found.get("status", "").lower() == wanted.lower() else f"Waiting for {text}"

        return by_condition
    raise ProviderError(
        f"invalid pulumi.com/waitFor expression {text!r}: "
        "use jsonpath={.path}[=value] or condition=Type[=Status]"
    )


def _condition(live: dict[str, Any], kind: str) -> dict[str, Any]:
    for condition in live.get("status", {}).get("conditions") or []:
        if condition.get("type", "").lower() == kind.lower():
            return dict(condition)
    return {}


def _observed(live: dict[str, Any]) -> bool:
    observed = live.get("status", {}).get("observedGeneration")
    return observed is None or observed >= metadata(live).get("generation", 0)


def _bracketed(condition: dict[str, Any]) -> str:
    return f"[{condition.get('reason', '')}] {condition.get('message', '')}"


async def _deployment(wait: Wait, live: dict[str, Any]) -> list[str]:
    meta, spec, status = metadata(live), live["spec"], live.get("status", {})
    if status.get("observedGeneration", 0) < meta.get("generation", 0):
        return ["Waiting for the Deployment controller to see the change"]
    if spec.get("replicas") == 0:
        wait.log.status_warning(f'Replicas scaled to 0 for Deployment "{meta["name"]}"')
        return []
    reasons = []
    progressing, available = _condition(live, "Progressing"), _condition(live, "Available")
    revision = annotation(live, "deployment.kubernetes.io/revision")
    if progressing.get("status") == "False":
        reasons.append(_bracketed(progressing))
    if available.get("status") != "True":
        reasons.append(_bracketed(available) if available else "Minimum number of Pods was not available")
    if revision != "1" and progressing.get("reason") != "NewReplicaSetAvailable":
        reasons.append("Waiting for the new ReplicaSet to be available")
    if not reasons or progressing.get("status") != "False":
        reasons += await _replica_set(wait, live, revision)
    return reasons


async def _replica_set(wait: Wait, live: dict[str, Any], revision: str) -> list[str]:
    for owned in await pods.owned(wait.client, live, "apps/v1", "ReplicaSet"):
        if annotation(owned, "deployment.kubernetes.io/revision") == revision:
            wanted, ready = owned["spec"].get("replicas", 0), owned.get("status", {}).get("readyReplicas", 0)
            if ready >= wanted:
                return []
            return [f"Waiting for app ReplicaSet to be available ({ready}/{wanted} Pods available)"]
    return ["Waiting for app ReplicaSet to be available (0/1 Pods available)"]


async def _stateful_set(wait: Wait, live: dict[str, Any]) -> list[str]:  # noqa: ARG001
    spec, status = live["spec"], live.get("status", {})
    if status.get("observedGeneration", 0) < metadata(live).get("generation", 0):
        return ["Waiting for the StatefulSet controller to see the change"]
    wanted, ready = spec.get("replicas", 1), status.get("readyReplicas", 0)
    if status.get("replicas", 0) != wanted or ready != wanted:
        return [f"Waiting for StatefulSet to be ready ({ready}/{wanted} Pods ready)"]
    on_delete = (
        spec.get("updateStrategy", {}).get("type") == "OnDelete" and metadata(live).get("generation", 0) > 1
    )
    moved = status.get("currentRevision") == status.get("updateRevision")
    if not on_delete and not (moved and status.get("currentReplicas", 0) == wanted):
        return ["Waiting for StatefulSet update to roll out"]
    return []


async def _daemon_set(wait: Wait, live: dict[str, Any]) -> list[str]:  # noqa: ARG001
    status = live.get("status", {})
    if status.get("observedGeneration", 0) < metadata(live).get("generation", 0):
        return ["Waiting for the DaemonSet controller to see the change"]
    wanted = status.get("desiredNumberScheduled", 0)
    for name in ("currentNumberScheduled", "updatedNumberScheduled", "numberAvailable", "numberReady"):
        if status.get(name, 0) < wanted:
            return [f"Waiting for DaemonSet to be ready ({name} {status.get(name, 0)}/{wanted})"]
    return []


async def _service(wait: Wait, live: dict[str, Any]) -> list[str]:
    meta, spec = metadata(live), live["spec"]
    if spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None" or not spec.get("selector"):
        return []
    try:
        kind = await wait.client.kind("v1", "Endpoints")
        endpoints = await wait.client.get(kind, meta["namespace"], meta["name"])
    except ApiError as error:
        if error.code != 404:
            raise
        hint = "Selected Pods may not be ready, or field '.spec.selector' may not match labels on any Pods"
        return [f"Service does not target any Pods. {hint}"]
    version = metadata(endpoints).get("resourceVersion")
    if wait.memory.get("version") != version:
        wait.memory |= {"version": version, "since": time.monotonic()}
    subsets = endpoints.get("subsets") or []
    if any(subset.get("notReadyAddresses") for subset in subsets):
        return ["Waiting for the Pods of the Service to be ready"]
    if spec.get("type") == "LoadBalancer" and not live.get("status", {}).get("loadBalancer", {}).get(
        "ingress"
    ):
        return ["Service was not allocated an IP address; does your cloud provider support this?"]
    if time.monotonic() - wait.memory["since"] < _SETTLE_SECONDS:
        return ["Waiting for the endpoints of the Service to settle"]
    return []


async def _job(wait: Wait, live: dict[str, Any]) -> list[str]:  # noqa: ARG001
    failed = _condition(live, "Failed")
    if failed.get("status") == "True":
        raise FailedForGoodError(_bracketed(failed))
    if live.get("status", {}).get("startTime") and _condition(live, "Complete").get("status") == "True":
        return []
    return [f"Waiting for Job {json.dumps(object_name(live))} to succeed"]


async def _pod(wait: Wait, live: dict[str, Any]) -> list[str]:  # noqa: ARG001
    if live.get("status", {}).get("phase") == "Succeeded":
        return []
    for name in ("PodScheduled", "Initialized", "Ready"):
        if _condition(live, name).get("status") != "True":
            return [f"Waiting for Pod to be {name}", *pods.problems([live])]
    return []


async def _service_account_token(wait: Wait, live: dict[str, Any]) -> list[str]:  # noqa: ARG001
    if live.get("type") != "kubernetes.io/service-account-token" or live.get("data"):
        return []
    return ["Waiting for the token of the ServiceAccount"]


async def _claim(wait: Wait, live: dict[str, Any]) -> list[str]:
    phase = live.get("status", {}).get("phase")
    if phase == "Bound":
        return []
    if phase == "Pending" and live["spec"].get("storageClassName"):
        kind = await wait.client.kind("storage.k8s.io/v1", "StorageClass")
        try:
            storage = await wait.client.get(kind, "", live["spec"]["storageClassName"])
        except ApiError:
            storage = {}
        if storage.get("volumeBindingMode") == "WaitForFirstConsumer":
            return []
    return [f"Waiting for the PersistentVolumeClaim to be bound (now {phase})"]


def object_name(live: dict[str, Any]) -> str:
    """ "namespace/name" of a live object."""
    meta = metadata(live)
    return f"{meta.get('namespace', '')}/{meta['name']}".lstrip("/")


async def _explained(wait: Wait, kind: Kind, live: dict[str, Any], reasons: list[str]) -> list[str]:
    """Reasons with what the object's own pods complain about."""
    if kind.kind not in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
        return reasons
    return reasons + pods.problems(await pods.selected(wait.client, live))


_RULES: dict[tuple[str, str], Rule] = {
    ("apps/v1", "Deployment"): _deployment,
    ("apps/v1", "StatefulSet"): _stateful_set,
    ("apps/v1", "DaemonSet"): _daemon_set,
    ("batch/v1", "Job"): _job,
    ("v1", "Pod"): _pod,
    ("v1", "Service"): _service,
    ("v1", "Secret"): _service_account_token,
    ("v1", "PersistentVolumeClaim"): _claim,
}
