"""Defaults that depend on other settings: an environment without apps needs neither Dapr nor Redis, and
gateways talk over mutual TLS where every member can be asked so."""

from __future__ import annotations

from collections.abc import Iterable

from stacks.config.model import ClusterSettings, Settings

PEERS_PORT_ABOVE = 20_000
"""How far above its `httpPort` a k3d cluster is reached by other clusters' gateways, unless it is said: what
tells two environments' HTTP ports apart tells these apart as well."""
LAST_PORT = 65_535


def completed(settings: Settings) -> Settings:
    """The settings with `redis.mode`, `gateway.mutualTls`, every cluster's `dapr` and `peersPort` chosen.

    Where nothing but the mesh is asked for, nothing else is put into clusters that exist.
    """
    redis, gateway = settings.redis, settings.gateway
    theirs = all(cluster.source == "existing" for cluster in settings.clusters)
    mode = redis.mode or ("none" if theirs and not settings.apps else "container")
    clusters = tuple(
        one.model_copy(update={"dapr": _dapr(settings, one), "peers_port": _peers_port(settings, one)})
        for one in settings.clusters
    )
    mutual_tls = gateway.mutual_tls or _mutual_tls(settings, clusters)
    return settings.model_copy(
        update={
            "redis": redis.model_copy(update={"mode": mode}),
            "gateway": gateway.model_copy(update={"mutual_tls": mutual_tls}),
            "clusters": clusters,
        }
    )


def default_peers_port(cluster: ClusterSettings) -> int | None:
    """Where gateways of others reach those of a k3d cluster that does not say it; None: it has to be said.

    Of a cluster that exists nobody here knows which node ports are free, or what firewalls let through.
    """
    if cluster.role == "control-plane" or cluster.source != "k3d" or cluster.http_port is None:
        return None
    port = cluster.http_port + PEERS_PORT_ABOVE
    return port if port <= LAST_PORT else None


def _peers_port(settings: Settings, cluster: ClusterSettings) -> int | None:
    if settings.mesh != "bundled" or cluster.peers_port is not None:
        return cluster.peers_port
    return default_peers_port(cluster)


def _mutual_tls(settings: Settings, clusters: Iterable[ClusterSettings]) -> str:
    """Nothing fails on the way to it: who is not reached over TLS is asked over plain HTTP."""
    reached = all(one.peers_port is not None for one in clusters if one.role == "member")
    return "permissive" if settings.mesh == "bundled" and reached else "off"


def _dapr(settings: Settings, cluster: ClusterSettings) -> str | None:
    if cluster.role == "control-plane":
        return cluster.dapr  # it runs no apps; what is set here is a mistake to be named
    bare = cluster.source == "existing" and not settings.apps
    return cluster.dapr or settings.dapr.mode or ("none" if bare else "install")
