"""Whether pods have the Dapr sidecar that they ask for, and speak as the settings say. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cli.doctor import hints
from cli.doctor.check import Check
from cli.doctor.deployments import check
from cli.observe.view import SIDECAR, ClusterView, Object, annotations_of, key_of, meta, spec, status

ENABLED = "dapr.io/enabled"
TRUE = {"1", "t", "true", "y", "yes", "on"}
MTLS = "--enable-mtls"


def sidecar_checks(view: ClusterView, *, mtls: bool | None) -> Iterator[Check]:
    """Pods without the sidecar they ask for, and those whose sidecar speaks TLS against the settings.

    `mtls` is what the settings say; None where Dapr is somebody else's.
    """
    pods = [pod for pod in view.all("Pod") if _asks(pod)]
    if without := [pod for pod in pods if _arguments(pod) is None]:
        seen = f"ask for a Dapr sidecar and have none: {_names(without)}"
        hint = f"They came back before Dapr's injector: {_delete(view, without)}"
        if view.settings.dapr == "install":
            hint = f"Dapr's operator replaces them within some minutes, or at once: {_delete(view, without)}"
        yield check(view, "Dapr sidecars", "fail", seen, hint)
    if mtls is None:
        return
    other = [pod for pod in pods if (found := _arguments(pod)) and (MTLS in found) is not mtls]
    if other:
        seen = f"started before `dapr.mtls` was {mtls}, and cannot talk to the others: {_names(other)}"
        yield check(view, "Dapr's mTLS", "warn", seen, f"Restart their pods: {_delete(view, other)}")


def _asks(pod: Object) -> bool:
    """Whether a pod that is not ending, and has not ended, asks for a sidecar."""
    ended = meta(pod).get("deletionTimestamp") or status(pod).get("phase") in ("Succeeded", "Failed")
    return annotations_of(pod).get(ENABLED, "").lower() in TRUE and not ended


def _arguments(pod: Object) -> Sequence[str] | None:
    """Arguments of the pod's sidecar; None without one. A native sidecar is an init container."""
    containers = [*(spec(pod).get("containers") or []), *(spec(pod).get("initContainers") or [])]
    return next((one.get("args") or () for one in containers if one.get("name") == SIDECAR), None)


def _names(pods: Sequence[Object]) -> str:
    return ", ".join("/".join(key_of(pod)) for pod in pods)


def _delete(view: ClusterView, pods: Sequence[Object]) -> str:
    """The command for the pods of the first namespace."""
    namespace = key_of(pods[0])[0]
    names = " ".join(key_of(pod)[1] for pod in pods if key_of(pod)[0] == namespace)
    return hints.kubectl(view.settings, f"-n {namespace} delete pod {names}")
