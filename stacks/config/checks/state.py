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
    store, owners = settings.dapr.state_store, _owners(settings)
    if not store.actors or not owners:
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
    for app_id, namespaces in owners.items():
        if len(namespaces) > 1:
            yield Problem(
                "dapr.stateStore.actors",
                store.actors,
                f"namespaces {', '.join(sorted(namespaces))} share the store, and Dapr's keys of actors hold "
                "no namespace",
                f"Put {app_id} in one namespace, or leave actors out.",
            )


def stores_are_told_apart(settings: Settings) -> Iterator[Problem]:
    """A state store, and the Secret with its password, are one app's in a namespace."""
    seen: dict[tuple[str, str, str, str], str] = {}
    for index, app in enumerate(settings.apps):
        if app.state_store is None:
            continue
        path = f"apps[{index}].dapr.stateStore"
        for key, name in (("name", app.state_store.name), ("secret", app.state_store.secret_name)):
            taken = (seen.get((cluster, app.namespace, key, name)) for cluster in app.clusters)
            if other := next(filter(None, taken), None):
                hint = "An app has a store alone: give this one a name of its own."
                yield Problem(f"{path}.{key}", name, f"{other} has it in {app.namespace}", hint)
            for cluster in app.clusters:
                seen.setdefault((cluster, app.namespace, key, name), f"apps[{index}]")


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


def _owners(settings: Settings) -> dict[str, set[str]]:
    """Namespaces of the apps that have a state store, by their app-id."""
    owners: dict[str, set[str]] = {}
    for app in settings.apps:
        if app.state_store is not None:
            owners.setdefault(str(app.sidecar_id), set()).add(app.namespace)
    return owners
