"""Checks of one cluster, and of its Deployments. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from cli.doctor import hints
from cli.doctor.check import Check, Result
from cli.observe.view import ClusterView, Object, complaint, condition, key_of, spec, status


def check(view: ClusterView, what: str, result: Result, seen: str, hint: str = "") -> Check:
    """A finding about one cluster."""
    return Check(
        group="platform", name=f"{view.name}: {what}", result=result, seen=seen,
        hint="" if result == "ok" else hint,
    )  # fmt: skip


def deployment(view: ClusterView, namespace: str, name: str, what: str) -> Check:
    """Whether a Deployment has the pods it wants. One that was not read is no fault: `unread` tells of it."""
    found = view.one("Deployment", namespace, name)
    if found is None and (unseen := view.unseen("Deployment", namespace)):
        seen = f"Deployment {namespace}/{name} {unseen}"
        return check(view, what, "warn", seen, hints.doctor_again(view.environment))
    if found is None:
        return check(
            view,
            what,
            "fail",
            f"there is no Deployment {namespace}/{name}",
            hints.again(view.environment),
        )
    wanted, ready = int(spec(found).get("replicas", 1)), int(status(found).get("readyReplicas") or 0)
    if not wanted:
        hint = hints.scale(view.settings, namespace, name)
        return check(view, what, "fail", f"Deployment {namespace}/{name} is scaled to zero", hint)
    if ready < wanted:
        seen, hint = why_not_ready(view, found)
        result: Result = "warn" if ready else "fail"
        return check(view, what, result, f"{ready} of {wanted} pods ready: {seen}", hint)
    return check(view, what, "ok", f"{ready} of {wanted} pods ready")


def why_not_ready(view: ClusterView, workload: Object) -> tuple[str, str]:
    """What holds a workload's pods back, and where to look."""
    namespace, _ = key_of(workload)
    labels: Mapping[str, str] = (spec(workload).get("selector") or {}).get("matchLabels") or {}
    pods = [pod for pod in view.pods(namespace, labels) if condition(pod, "Ready").get("status") != "True"]
    if not pods:
        hint = hints.kubectl(view.settings, f"-n {namespace} get events --sort-by=.lastTimestamp")
        return "it has made none", hint
    pod = key_of(pods[0])[1]
    return f"{pod}: {complaint(pods[0])}", hints.describe(view.settings, namespace, pod)
