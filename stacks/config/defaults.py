"""Defaults that depend on other settings: an environment without apps needs neither Dapr nor Redis."""

from __future__ import annotations

from stacks.config.model import ClusterSettings, Settings


def completed(settings: Settings) -> Settings:
    """The settings with `redis.mode` and every cluster's `dapr` chosen.

    Where nothing but the mesh is asked for, nothing else is put into clusters that exist.
    """
    redis, clusters = settings.redis, settings.clusters
    theirs = all(cluster.source == "existing" for cluster in clusters)
    mode = redis.mode or ("none" if theirs and not settings.apps else "container")
    return settings.model_copy(
        update={
            "redis": redis.model_copy(update={"mode": mode}),
            "clusters": tuple(one.model_copy(update={"dapr": _dapr(settings, one)}) for one in clusters),
        }
    )


def _dapr(settings: Settings, cluster: ClusterSettings) -> str | None:
    if cluster.role == "control-plane":
        return cluster.dapr  # it runs no apps; what is set here is a mistake to be named
    bare = cluster.source == "existing" and not settings.apps
    return cluster.dapr or settings.dapr.mode or ("none" if bare else "install")
