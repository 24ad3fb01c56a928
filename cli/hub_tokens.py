"""The hub's tokens in the members, as Cluster objects tell of them: how long each is good, who needs one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cli.engine import Engine
from cli.observe.api import ApiError, open_apis
from cli.observe.client_config import client_configs
from cli.observe.view import Object, key_of, spec, status
from stacks.config.model import Settings

BOOTSTRAP = "**{}-membership-bootstrap-token"
"""URN of the Secret by which the hub begins in a member (components/mesh/cluster_membership.py)."""
CLUSTERS = "/apis/flomesh.io/v1alpha1/clusters"


@dataclass(frozen=True, kw_only=True)
class HubToken:
    """A token: when it was issued and when it ends, in seconds since 1970, and why it was not renewed."""

    issued: float
    expires: float
    error: str = ""


def is_asked_for(cluster: Object) -> bool:
    """Whether the hub is to log in there with tokens that end, and not with a kubeconfig as it is."""
    return bool(spec(cluster).get("tokenRequest"))


def token_of(cluster: Object) -> HubToken | None:
    """The hub's token in a cluster; None when it has none there."""
    told = status(cluster).get("token") or {}
    try:
        issued, expires = (datetime.fromisoformat(told[name]).timestamp() for name in ("issued", "expires"))
    except (KeyError, TypeError, ValueError):
        return None
    return HubToken(issued=issued, expires=expires, error=str(told.get("message") or ""))


def without_token(clusters: Iterable[Object], members: Iterable[str], now: float) -> list[str]:
    """Members whose hub has no good token there, and so needs a new credential to begin with."""
    known = {key_of(cluster)[1]: cluster for cluster in clusters if is_asked_for(cluster)}
    tokens = {name: token_of(known[name]) for name in members if name in known}
    return [name for name, token in tokens.items() if token is None or token.expires <= now]


def members_without_token(engine: Engine, settings: Settings, now: float) -> list[str]:
    """The same of an environment that is up; nobody when its control plane does not answer."""
    if settings.mesh != "bundled" or not engine.exists():
        return []
    clusters = asyncio.run(_clusters(engine, settings))
    return without_token(clusters, [member.name for member in settings.members], now)


async def _clusters(engine: Engine, settings: Settings) -> list[Object]:
    plane = settings.control_plane.name
    found, _ = client_configs(engine, settings)
    wanted = {name: config for name, config in found.items() if name == plane}
    async with open_apis(wanted, engine.toolchain.env) as apis:
        try:
            return list((await apis[plane].json(CLUSTERS)).get("items") or []) if plane in apis else []
        except ApiError:
            return []
