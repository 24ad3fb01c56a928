"""What the settings say of a cluster, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.config.model import ClusterSettings, Settings
from stacks.config.traffic import ExportSettings


def address(settings: Settings, cluster: ClusterSettings) -> str:
    """Where its gateway and its API server are, for people."""
    if cluster.source == "existing":
        return f"gateway {cluster.gateway_host}:{cluster.gateway_port}, context {cluster.context}"
    return f"gateway {settings.bind_addresses[0]}:{cluster.http_port}, API :{cluster.api_port}"


def configured(settings: Settings, cluster: ClusterSettings) -> Iterator[tuple[str, str]]:
    """A name and a text for each thing that is said of a cluster."""
    apps = [app for app in settings.apps if cluster.name in app.clusters]
    yield "address", address(settings, cluster)
    for app in apps:
        replicas = app.on(cluster.name).replicas
        asleep = ", no pods" if replicas == 0 else ""
        yield "app", f"{app.service} in {app.namespace}{asleep}"
    for export in settings.exports:
        if cluster.name in export.clusters:
            yield "export", _export(export)
    if cluster.role == "control-plane":
        for path in dict.fromkeys(_front_door(settings)):
            yield "front door", path
    if any(app.state_store is not None for app in apps):
        yield "state store", f"Redis at {_redis(settings)}"
    if cluster.capacity is not None:
        yield "capacity", f"{cluster.capacity:g} % of a service's calls"


def _front_door(settings: Settings) -> Iterator[str]:
    for export in settings.exports:
        for rule in export.path_rules if export.published else ():
            yield f"{export.host or ''}{rule.path} to {export.namespace}/{export.service}"


def _export(export: ExportSettings) -> str:
    ports = dict.fromkeys(rule.port for rule in export.path_rules)
    inside = f"{', '.join(map(str, ports))} between clusters"
    outside = ", ".join(f"{rule.port} at {rule.path}" for rule in export.path_rules)
    return f"{export.namespace}/{export.service}: {outside if export.published else inside}"


def _redis(settings: Settings) -> str:
    redis = settings.redis
    return f"{settings.network.gateway if redis.mode == 'container' else redis.host}:{redis.port}"
