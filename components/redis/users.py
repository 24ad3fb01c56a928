"""The users of a Redis that is made here: one for each app, who gets at the app's own keys alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

ADMIN = "admin"
"""May everything, and is used by people alone. The user `default`, whom nobody need name, is off."""

# What Dapr's state.redis sends, and nothing else. `hello` and `auth` need no rule. INFO tells it the version.
COMMANDS = (
    *("ping", "info", "wait", "multi", "exec", "discard", "eval"),
    *("get", "del", "expire", "persist", "hget", "hgetall", "hset", "hincrby"),
)
# Lists workflows. It names the keys of everybody in a database: only where that is the cluster's own.
LIST_COMMAND = "scan"


@dataclass(frozen=True, kw_only=True)
class User:
    """The user by whom an app's sidecars come to Redis; `app_id` is a DNS label, as Dapr wants it.

    `database` 0 is the one that clusters share. Actors need one of the cluster's own.
    """

    name: str
    app_id: str
    database: int
    actors: bool


@dataclass(frozen=True, kw_only=True)
class AppUser(User):
    """The same with its password, a secret."""

    password: pulumi.Output[str]

    @property
    def password_id(self) -> pulumi.Output[str]:
        """Eight digits that change with the password, and no secret: that is 24 random bytes."""
        digits = self.password.apply(lambda password: _hash(password)[:8])
        return pulumi.Output.unsecret(digits)


def rules(user: User) -> list[str]:
    """What a user may, in Redis' words.

    Dapr writes state as app-id||key, and actors as app-id||type||id||key whatever the component's keyPrefix.
    Users cannot be held to a database but by SELECT, and every connection begins in 0. So a database of a
    cluster's own is never 0, and no user may select another.
    """
    listing = [f"+{LIST_COMMAND}"] if user.actors else []
    selecting = [f"+select|{user.database}"] if user.database else []
    return [f"~{user.app_id}||*", "-@all", *(f"+{name}" for name in COMMANDS), *selecting, *listing]


def redis_config(*, admin_password: str, users: Sequence[tuple[User, str]]) -> str:
    """redis.conf: the article's append-only file, and the users, whose passwords it holds as hashes only."""
    # Redis' own 16, unless that is too few. Fewer than an append-only file names would make it unreadable.
    databases = max([15, *(user.database for user, _ in users)]) + 1
    lines = [
        "dir /data",
        "appendonly yes",
        f"databases {databases}",
        "user default off resetpass -@all",
        f"user {ADMIN} on #{_hash(admin_password)} ~* &* +@all",
        *(f"user {user.name} on #{_hash(password)} {' '.join(rules(user))}" for user, password in users),
    ]
    return "\n".join(lines) + "\n"


def rendered(admin_password: pulumi.Input[str], users: Sequence[AppUser]) -> pulumi.Output[str]:
    """The same from outputs, a secret."""
    passwords = pulumi.Output.all(pulumi.Output.secret(admin_password), *(user.password for user in users))
    return passwords.apply(
        lambda known: redis_config(admin_password=known[0], users=list(zip(users, known[1:], strict=True)))
    )


def config_id(config: str) -> str:
    """Digits that change with the file. They tell nothing of a short password: each guess costs 16 MiB."""
    return hashlib.scrypt(config.encode(), salt=b"redis.conf", n=2**14, r=8, p=1, dklen=8).hex()


def _hash(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()
