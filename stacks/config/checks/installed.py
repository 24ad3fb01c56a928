"""Rules about what the program puts into clusters, or finds there: Dapr and Redis."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.config.model import Settings
from stacks.config.problem import Problem


def dapr_is_where_it_is_used(settings: Settings) -> Iterator[Problem]:
    """Dapr is a matter of members, and gateways ask its sidecars only where it is."""
    exporting = {name for export in settings.exports for name in export.clusters}
    for index, cluster in enumerate(settings.clusters):
        where = f"clusters[{index}].dapr"
        if cluster.role == "control-plane":
            if cluster.dapr is not None:
                reason = "has no meaning for the control plane, which runs no apps"
                yield Problem(where, cluster.dapr, reason, "Remove it.")
        elif cluster.dapr == "existing" and cluster.source != "existing":
            reason = f"{cluster.name} is made here, and has no Dapr before"
            yield Problem(where, cluster.dapr, reason, "Write install, or none.")
        elif cluster.dapr == "none" and settings.dapr.invoke == "sidecar" and cluster.name in exporting:
            reason = f"`dapr.invoke: sidecar` asks Dapr's sidecars in {cluster.name}, which exports"
            yield Problem(where, cluster.dapr, reason, "Use Dapr there, or write `invoke: app`.")
    without = {member.name for member in settings.members if member.dapr == "none"}
    for index, app in enumerate(settings.apps):
        # Where only some of its clusters have Dapr, the app has to know what to do without it.
        if app.app is None and app.dapr is not None and without.issuperset(app.clusters):
            reason = f"none of its clusters ({', '.join(app.clusters)}) has Dapr"
            hint = "Remove it, or use Dapr there (`dapr` of the cluster, or `dapr.mode`)."
            yield Problem(f"apps[{index}].dapr", None, reason, hint)


def nothing_asks_for_a_redis_that_is_not_there(settings: Settings) -> Iterator[Problem]:
    """Without Redis there is no state store in it, so nothing can be said about one."""
    store = settings.dapr.state_store
    if settings.redis.mode != "none":
        return
    for key, chosen in (("actors", store.actors), ("perCluster", store.per_cluster)):
        if chosen:
            reason = "has no meaning without Redis"
            yield Problem(f"dapr.stateStore.{key}", chosen, reason, "Remove it, or set `redis.mode`.")
    for index, app in enumerate(settings.apps):
        # What an app begins with is left out where there is no Redis; what its entry says is meant.
        if app.app is None and app.state_store is not None:
            where = f"apps[{index}].dapr.stateStore"
            yield Problem(where, None, "has no meaning without Redis", "Remove it, or set `redis.mode`.")
