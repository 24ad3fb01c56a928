"""Age and end of the hub's token in each member. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from cli.doctor import hints
from cli.doctor.check import Check
from cli.doctor.deployments import check
from cli.hub_tokens import HubToken, is_asked_for, token_of
from cli.observe.view import HUB, ClusterView, Platform

WARNS_AT = 1 / 3
"""What is left of its time when a token should long have been renewed, which happens at half of that."""


def token_checks(platform: Platform, plane: ClusterView) -> Iterator[Check]:
    """A check for each member whose token the hub renews."""
    for member in platform.settings.members:
        cluster = plane.one("Cluster", "", member.name)
        if cluster is None or not is_asked_for(cluster):
            continue
        what = f"hub's token in {member.name}"
        token = token_of(cluster)
        if token is None:
            yield check(plane, what, "fail", "there is none", hints.logs(plane.settings, HUB))
            continue
        left = token.expires - platform.at
        seen = _seen(token, platform.at)
        if left <= 0:
            yield check(plane, what, "fail", seen, hints.begin_again(platform.environment))
        elif left < (token.expires - token.issued) * WARNS_AT:
            yield check(plane, what, "warn", seen, hints.logs(plane.settings, HUB))
        else:
            yield check(plane, what, "ok", seen)


def _seen(token: HubToken, now: float) -> str:
    left = token.expires - now
    end = f"ends in {_minutes(left)}" if left > 0 else f"ended {_minutes(-left)} ago"
    error = f"; not renewed: {token.error}" if token.error else ""
    return f"{_minutes(now - token.issued)} old, {end}{error}"


def _minutes(seconds: float) -> str:
    whole = round(seconds / 60)
    return f"{whole} minute{'' if whole == 1 else 's'}"
