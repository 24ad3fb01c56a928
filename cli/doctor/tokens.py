"""Beginning and end of the hub's token in each member. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from cli.doctor import hints
from cli.doctor.check import Check
from cli.doctor.deployments import check
from cli.doctor.lifetimes import Lifetime
from cli.hub_tokens import is_asked_for, token_of
from cli.observe.view import HUB, ClusterView, Platform


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
        lifetime = Lifetime(since=token.issued, until=token.expires)
        result = lifetime.result(platform.at)
        error = f"; not renewed: {token.error}" if token.error else ""
        ended = result == "fail"
        hint = hints.begin_again(platform.environment) if ended else hints.logs(plane.settings, HUB)
        yield check(plane, what, result, f"{lifetime.seen(platform.at)}{error}", hint)
