"""The hop from a Dapr app to the state stores that its sidecar loads. Pure."""

from __future__ import annotations

from cli.doctor import hints
from cli.doctor.check import Finding, fail, ok
from cli.doctor.path import CallPath, file_of, unread
from cli.doctor.platform import redis
from cli.doctor.reachability import store_address
from cli.doctor.server_side import asks_for_dapr, is_deployed, pods_of
from cli.observe.view import ClusterView, Object, annotations_of, key_of

APP_ID = "dapr.io/app-id"


def store(path: CallPath) -> Finding | None:
    """The state store of a Dapr app answers."""
    view = path.exporter
    if view is None or unread(view, path.service):
        return None
    app_ids = {annotations_of(pod).get(APP_ID, "") for pod in pods_of(view, path) if asks_for_dapr(pod)}
    if not app_ids:
        return None
    for component in view.all("Component", path.service[0]):
        scopes = component.get("scopes") or ()
        if scopes and app_ids.isdisjoint(scopes):
            continue  # its sidecar does not load it
        address = store_address(component)
        down = [check for check in redis(path.platform) if check.result == "fail"]
        if down and address == _shared_store(path):
            return fail(down[0].seen, down[0].hint)
        why = "" if path.server_reach.error else path.server_reach.stores.get(address, "")
        if why:
            return fail(
                f"{view.name} does not reach the store {key_of(component)[1]} at {address}: {why}",
                _start_store(path, view, component),
            )
    return ok()


def _shared_store(path: CallPath) -> str:
    """Where members reach the Redis of the settings when it is a container."""
    settings = path.platform.settings
    return f"{settings.network.gateway}:{settings.redis.port}"


def _start_store(path: CallPath, view: ClusterView, component: Object) -> str:
    if store_address(component) == _shared_store(path) or is_deployed(path, view):
        return f"Start that Redis, or correct `redis` in {file_of(path.platform)}"
    by_hand = hints.edit(view.settings, "component", *key_of(component))
    return f"Start that Redis, or correct where it is by {by_hand}"
