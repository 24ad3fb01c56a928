"""Whether Dapr apps can call imports by app-id: what imports say, and sidecars that do not know yet. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cli.doctor import hints
from cli.doctor.check import Check
from cli.doctor.deployments import check
from cli.observe.services import DERIVED
from cli.observe.view import (
    SIDECAR,
    ClusterView,
    Object,
    Platform,
    condition,
    container_states,
    key_of,
    labels_of,
    meta,
)

NOTICES_FROM = (1, 18)
"""The first Dapr whose sidecars notice HTTPEndpoints while they run."""
VERSION = re.compile(r":v?(\d+)\.(\d+)\.")


def app_id_checks(platform: Platform) -> list[Check]:
    """A check for each import that is not called everywhere, and for each namespace with old sidecars."""
    return [
        found
        for view in platform.clusters
        if not view.error
        for found in (*not_invocable(view), *late_sidecars(view))
    ]


def not_invocable(view: ClusterView) -> Iterator[Check]:
    """Imports with an app-id that some callers cannot use."""
    for imported in view.all("ServiceImport"):
        said = condition(imported, "DaprInvocable")
        if said.get("status") == "False":
            namespace, name = key_of(imported)
            seen = f"{said.get('reason')}: {said.get('message')}"
            hint = "docs/dapr.md, One app-id, one service"
            yield check(view, f"calls of {namespace}/{name} by app-id", "warn", seen, hint)


def late_sidecars(view: ClusterView) -> Iterator[Check]:
    """Sidecars that started before an HTTPEndpoint of their namespace, and do not notice such."""
    made: dict[str, list[Object]] = {}
    for endpoint in view.all("HTTPEndpoint"):
        if labels_of(endpoint).items() >= DERIVED.items():
            made.setdefault(key_of(endpoint)[0], []).append(endpoint)
    for namespace, endpoints in sorted(made.items()):
        late: dict[str, set[str]] = {}
        for pod in view.pods(namespace, {}):
            started = _started(pod)
            missed = {
                key_of(one)[1] for one in endpoints if started < str(meta(one).get("creationTimestamp"))
            }
            if started and missed:
                late[key_of(pod)[1]] = missed
        if late:
            app_ids = ", ".join(sorted(set().union(*late.values())))
            pods = sorted(late)
            seen = (
                f"sidecars older than Dapr 1.18 started before {app_ids} could be called: {', '.join(pods)}"
            )
            hint = hints.kubectl(view.settings, f"-n {namespace} delete pod {' '.join(pods)}")
            yield check(view, f"calls by app-id from {namespace}", "warn", seen, hint)


def _started(pod: Object) -> str:
    """When the sidecar of a pod started, as text that sorts by time; empty without one that is too old."""
    for container in container_states(pod):
        running = (container.get("state") or {}).get("running") or {}
        version = VERSION.search(str(container.get("image")))
        if container.get("name") == SIDECAR and version and tuple(map(int, version.groups())) < NOTICES_FROM:
            return str(running.get("startedAt") or "")
    return ""
