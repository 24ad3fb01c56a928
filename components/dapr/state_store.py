"""The Dapr component of a state store in the environment's Redis."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

SECRET_KEY = "redis-password"  # noqa: S105 - the name of a key, not a password
STORE_ANNOTATION = "multicluster-dapr/state-store"


def state_store_spec(
    address: pulumi.Input[str], *, secret: str, username: str | None, database: int, actors: bool
) -> dict[str, object]:
    """Spec of the Dapr component; the password is read from the Secret, never written here.

    `address` is host:port of Redis as pods reach it, `database` the number of the database in it. `username`
    None means Redis' user `default`. `actors` says that actors and workflows are kept in it, too. Keys begin
    with the app-id, so that an app finds in one cluster what it wrote in another.
    """
    metadata: list[dict[str, object]] = [
        {"name": "redisHost", "value": address},
        {"name": "redisPassword", "secretKeyRef": {"name": secret, "key": SECRET_KEY}},
        {"name": "keyPrefix", "value": "appid"},
    ]
    if username is not None:
        metadata.append({"name": "redisUsername", "value": username})
    if database:  # Redis' own default is 0
        metadata.append({"name": "redisDB", "value": str(database)})
    if actors:
        metadata.append({"name": "actorStateStore", "value": "true"})
    return {"type": "state.redis", "version": "v1", "metadata": metadata}


def restarts(
    *, username: str | None, password_id: pulumi.Input[str], database: int, actors: bool
) -> dict[str, pulumi.Output[str]]:
    """Annotations of pods with a sidecar that reads it: no sidecar takes in a Secret that changed.

    Nor does one before 1.18 take in a component, nor one with actors before 1.18.3. `password_id` changes
    with the password and tells nothing of it.
    """
    user = [username, password_id] if username else []
    chosen = [*user, *[f"database-{database}"] * bool(database), *["actors"] * actors]
    return {STORE_ANNOTATION: _dotted(chosen)} if chosen else {}


def _dotted(parts: Sequence[pulumi.Input[str]]) -> pulumi.Output[str]:
    return pulumi.Output.all(*parts).apply(".".join)
