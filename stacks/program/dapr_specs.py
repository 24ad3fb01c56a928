"""Specs of Dapr's resources from the settings, and who reads them when. Pure."""

from __future__ import annotations

from typing import Any

from stacks.config.apps import AppSettings
from stacks.config.dapr import (
    ComponentSettings,
    DaprResourceSettings,
    MetadataValue,
    Scoped,
    SubscriptionSettings,
)
from stacks.config.model import ClusterSettings

RELOADING = (1, 18)
"""From this version of Dapr on sidecars take in components and subscriptions that changed."""


def spec(resource: DaprResourceSettings, cluster: ClusterSettings) -> dict[str, Any]:
    """Spec of a resource on a cluster, in Dapr's words."""
    if isinstance(resource, ComponentSettings):
        metadata = [
            {"name": name, **_value(resource, name, value, cluster)}
            for name, value in resource.metadata.items()
        ]
        options = {"ignoreErrors": resource.ignore_errors or None, "initTimeout": resource.init_timeout}
        told = {key: value for key, value in options.items() if value is not None}
        return {"type": resource.type, "version": resource.version, "metadata": metadata, **told}
    if isinstance(resource, SubscriptionSettings):
        rules = [{"match": rule.match, "path": rule.path} for rule in resource.rules]
        found = {"deadLetterTopic": resource.dead_letter_topic, "metadata": dict(resource.metadata)}
        return {
            "pubsubname": resource.pubsubname,
            "topic": resource.topic,
            "routes": {**({"rules": rules} if rules else {}), "default": resource.route},
            **{key: value for key, value in found.items() if value},
        }
    return dict(resource.spec)


def secret_name(resource: DaprResourceSettings) -> str:
    """Name of the Secret with the secrets of its metadata."""
    return f"{resource.name}-metadata"


def secrets(resource: DaprResourceSettings) -> dict[str, str]:
    """The texts in that Secret, by the name of the value."""
    if not isinstance(resource, ComponentSettings):
        return {}
    values = resource.metadata.items()
    return {name: value.secret.get_secret_value() for name, value in values if value.secret is not None}


def reads(app: AppSettings, resource: DaprResourceSettings) -> bool:
    """Whether an app's sidecar reads it: in its namespace, for its app-id; a Configuration that it names."""
    if app.dapr is None or app.namespace != resource.namespace:
        return False
    if isinstance(resource, Scoped):
        return not resource.scopes or app.sidecar_id in resource.scopes
    return app.dapr.config == resource.name


def is_reloaded(resource: DaprResourceSettings, version: str) -> bool:
    """Whether sidecars of a version of Dapr take it in when it changes; those of an unknown one do not.

    Configurations and Resiliencies make those of 1.18 and later start again where they are, all at once: a
    rollout of their pods loses no call. Stores of actors are taken in from 1.18.3 on.
    """
    if not isinstance(resource, ComponentSettings | SubscriptionSettings) or _keeps_actors(resource):
        return False
    parts = version.split(".")[:2]
    return len(parts) == 2 and all(part.isdigit() for part in parts) and tuple(map(int, parts)) >= RELOADING


def _keeps_actors(resource: DaprResourceSettings) -> bool:
    if not isinstance(resource, ComponentSettings):
        return False
    said = resource.metadata.get("actorStateStore", MetadataValue()).value or ""
    return said.lower() == "true"


def _value(
    component: ComponentSettings, name: str, value: MetadataValue, cluster: ClusterSettings
) -> dict[str, Any]:
    if value.secret is not None:
        return {"secretKeyRef": {"name": secret_name(component), "key": name}}
    if value.secret_key_ref is not None:
        return {"secretKeyRef": {"name": value.secret_key_ref.name, "key": value.secret_key_ref.key}}
    return {"value": value.value if value.cluster is None else getattr(cluster, value.cluster)}
