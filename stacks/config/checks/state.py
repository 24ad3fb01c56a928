"""Rules about the Dapr state store: which members, and which namespaces, may share it."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.config.model import Settings
from stacks.config.problem import Problem

DATABASES = 16
"""A Redis has as many, unless its own configuration says otherwise."""


def actors_have_one_owner(settings: Settings) -> Iterator[Problem]:
    """No two members, and no two namespaces of one, keep actors under the same keys.

    Each cluster places its actors itself, and Dapr writes them as app-id||type||id||key: without cluster,
    without namespace, whatever the component's keyPrefix. So only a database of its own keeps them apart.
    """
    store = settings.dapr.state_store
    namespaces = sorted({app.namespace for app in settings.apps if app.app == "nodeapp"})
    if not store.actors or not namespaces:
        return
    members = [member.name for member in settings.members]
    if len(members) > 1 and not store.per_cluster:
        yield Problem(
            "dapr.stateStore.actors",
            store.actors,
            f"{', '.join(members)} share the store, and each would run every actor in it, one undoing what "
            "the other wrote",
            "Set `perCluster: true` beside it, and each member has its own; or leave actors out.",
        )
    if len(namespaces) > 1:
        yield Problem(
            "dapr.stateStore.actors",
            store.actors,
            f"namespaces {', '.join(namespaces)} share the store, and Dapr's keys of actors hold no "
            "namespace",
            "Put nodeapp in one namespace, or leave actors out.",
        )


def databases_suffice(settings: Settings) -> Iterator[Problem]:
    """An external Redis has a database for each member; one that is made here gets as many as it takes."""
    if settings.redis.mode != "external" or not settings.dapr.state_store.per_cluster:
        return
    if len(settings.members) > DATABASES:
        yield Problem(
            "dapr.stateStore.perCluster",
            True,
            f"Redis has {DATABASES} databases, and there are {len(settings.members)} members",
            "Share the store, or use fewer members.",
        )
