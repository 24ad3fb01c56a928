"""Who comes to Redis by which user, and to which database in it."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from components.redis.generated_password import GeneratedPassword
from components.redis.users import AppUser
from stacks.config.model import ClusterSettings, Settings


def users(settings: Settings, local: pulumi.ResourceOptions) -> Mapping[tuple[str, str], AppUser]:
    """The users of apps with a state store, by app-id and member: one for all members, or one for each.

    Members without the app have one, too: Redis starts again for a user, and need not when the app comes.
    None where there is no Redis, or one that is somebody else's: its users are theirs.
    """
    if settings.redis.mode in ("external", "none"):
        return {}
    store = settings.dapr.state_store
    made: dict[str, AppUser] = {}
    found: dict[tuple[str, str], AppUser] = {}
    for app_id in app_ids(settings):
        for member in settings.members:
            name = f"{app_id}.{member.name}" if store.per_cluster else app_id
            if name not in made:
                made[name] = AppUser(
                    name=name,
                    app_id=app_id,
                    database=database(settings, member),
                    actors=store.actors,
                    password=GeneratedPassword(f"redis-{name}-password", local).value,
                )
            found[app_id, member.name] = made[name]
    return found


def app_ids(settings: Settings) -> list[str]:
    """App-ids of the apps with a state store, each once: an app in several namespaces is one app."""
    found = (app.sidecar_id for app in settings.apps if app.state_store is not None)
    return list(dict.fromkeys(app_id for app_id in found if app_id is not None))


def database(settings: Settings, member: ClusterSettings) -> int:
    """The Redis database of a member: 0 is shared. One of its own is not 0 where the program makes users."""
    if not settings.dapr.state_store.per_cluster:
        return 0
    return settings.members.index(member) + (0 if settings.redis.mode == "external" else 1)
