"""Who comes to Redis by which user, and to which database in it."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from components.app import node_app
from components.redis.generated_password import GeneratedPassword
from components.redis.users import AppUser
from stacks.config.model import ClusterSettings, Settings


def users(settings: Settings, local: pulumi.ResourceOptions) -> Mapping[str, AppUser]:
    """The user of NodeApp, by member: one for all that share its state, or one for each.

    None where there is no Redis, or one that is somebody else's: its users are theirs.
    """
    if settings.redis.mode in ("external", "none") or not any(
        app.app == node_app.NAME for app in settings.apps
    ):
        return {}
    store = settings.dapr.state_store
    made: dict[str, AppUser] = {}
    for member in settings.members:
        name = f"{node_app.NAME}.{member.name}" if store.per_cluster else node_app.NAME
        known = next((user for user in made.values() if user.name == name), None)
        made[member.name] = known or AppUser(
            name=name,
            app_id=node_app.NAME,
            database=database(settings, member),
            actors=store.actors,
            password=GeneratedPassword(f"redis-{name}-password", local).value,
        )
    return made


def database(settings: Settings, member: ClusterSettings) -> int:
    """The Redis database of a member: 0 is shared. One of its own is not 0 where the program makes users."""
    if not settings.dapr.state_store.per_cluster:
        return 0
    return settings.members.index(member) + (0 if settings.redis.mode == "external" else 1)
