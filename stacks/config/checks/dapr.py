"""Rules about Dapr's resources: where they are, and that their names tell them apart."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.config.checks.apps import one_of
from stacks.config.checks.services import members_only
from stacks.config.dapr import ComponentSettings, Scoped
from stacks.config.model import Settings
from stacks.config.problem import Problem, once


def resources_are_where_dapr_is(settings: Settings) -> Iterator[Problem]:
    """Dapr's resources are on members that have Dapr, whose CRDs they are of."""
    without = {member.name for member in settings.members if member.dapr == "none"}
    for path, resource in settings.dapr.resources:
        yield from members_only(settings, f"{path}.clusters", resource.clusters)
        yield from once(f"{path}.clusters", resource.clusters)
        for name in resource.clusters:
            if name in without:
                hint = "Use Dapr there, or leave it out."
                yield Problem(f"{path}.clusters", name, "has no Dapr", hint)


def resources_are_told_apart(settings: Settings) -> Iterator[Problem]:
    """In a namespace a name is one resource's of a kind, the state stores of apps included."""
    seen: dict[tuple[str, str, str, str], str] = {}
    for index, app in enumerate(settings.apps):
        if app.state_store is not None:
            for cluster in app.clusters:
                at = ("Component", cluster, app.namespace, app.state_store.name)
                seen.setdefault(at, f"apps[{index}].dapr.stateStore")
    for path, resource in settings.dapr.resources:
        places = [
            (resource.kind, name, resource.namespace, resource.name)
            for name in settings.members_with(resource)
        ]
        if taken := next((at for at in places if at in seen), None):
            reason = f"{seen[taken]} is {resource.namespace}/{resource.name} on {taken[1]} too"
            yield Problem(f"{path}.name", resource.name, reason, "Rename one of them.")
        for at in places:
            seen.setdefault(at, path)


def resources_are_whole(settings: Settings) -> Iterator[Problem]:
    """A value of a component comes from one place; an app-id is listed once."""
    for path, resource in settings.dapr.resources:
        if isinstance(resource, ComponentSettings):
            for name, value in resource.metadata.items():
                yield from one_of(f"{path}.metadata.{name}", value.sources)
        if isinstance(resource, Scoped):
            yield from once(f"{path}.scopes", resource.scopes)
