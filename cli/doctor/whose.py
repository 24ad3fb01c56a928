"""Whose an export or a policy is, of the settings or of somebody else, and how it is corrected. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from cli.doctor import hints
from cli.observe.view import ClusterView, Key, Object, Platform, key_of, meta
from stacks.config.model import Settings

SECTIONS: Mapping[str, str] = {"ServiceExport": "exports", "GlobalTrafficPolicy": "policies"}
"""Where the settings have objects of a kind."""


def has(settings: Settings, cluster: str, kind: str, key: Key) -> bool:
    """Whether the settings have an export or a policy in a cluster."""
    return (kind, key) in made_in(settings, cluster)


def made_in(settings: Settings, cluster: str) -> list[tuple[str, Key]]:
    """Exports and policies that the settings have in a cluster, by kind."""
    exported = [one for one in settings.exports if cluster in one.clusters]
    policies = [one for one in settings.policies if one.cluster == cluster]
    return [
        *(("ServiceExport", (one.namespace, one.service)) for one in exported),
        *(("GlobalTrafficPolicy", (one.namespace, one.name)) for one in policies),
    ]


def exports(settings: Settings, key: Key) -> bool:
    """Whether the settings export a service anywhere."""
    return any((one.namespace, one.service) == key for one in settings.exports)


def makes_namespace(settings: Settings, namespace: str) -> bool:
    """Whether the settings see to it that every cluster has a namespace."""
    named = {app.namespace for app in settings.apps} | {export.namespace for export in settings.exports}
    return namespace in named | {policy.namespace for policy in settings.policies}


def maker(obj: Object) -> str:
    """Who made an object, by the first of its managers (managedFields); empty when it does not say."""
    managers = [one for one in meta(obj).get("managedFields") or () if not one.get("subresource")]
    first = sorted(managers, key=lambda one: str(one.get("time")))[:1]
    name = "".join(str(one.get("manager") or "") for one in first)
    return "kubectl" if name.startswith("kubectl-") else name


def correct(platform: Platform, view: ClusterView, kind: str, obj: Object) -> str:
    """What to do about an export or policy that says something wrong."""
    environment = platform.environment
    if has(platform.settings, view.name, kind, key_of(obj)):
        return f"Correct `{SECTIONS[kind]}` in Pulumi.{environment}.yaml and run ./stack up {environment}"
    made = f", {found} made it" if (found := maker(obj)) else ""
    by_hand = hints.edit(view.settings, kind, *key_of(obj))
    return f"The settings do not have it{made}: correct it there, or by {by_hand}"
