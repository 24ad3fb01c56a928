"""Exports and policies that the settings have and a cluster has not. Pure.

The doctor finds them on the way of calls. What walks no paths, status and live page, has them from here.
"""

from __future__ import annotations

from collections.abc import Iterator

from cli.doctor.check import Check
from cli.observe.view import ClusterView, Key, Platform
from stacks.config.model import Settings


def lost_checks(platform: Platform) -> list[Check]:
    """One that fails for each object that is known not to be there."""
    return [
        Check(
            group="platform",
            name=f"{view.name}: {kind} {'/'.join(key)}",
            result="fail",
            seen="the settings have it, and it is not there",
            hint=f"./stack up {platform.environment} --refresh",
        )
        for view in platform.clusters
        for kind, key in _of(platform.settings, view)
        if kind in view.objects and view.one(kind, *key) is None and view.unseen(kind, key[0]) is None
    ]


def _of(settings: Settings, view: ClusterView) -> Iterator[tuple[str, Key]]:
    """What the settings make in a cluster."""
    for export in settings.exports:
        if view.name in export.clusters:
            yield "ServiceExport", (export.namespace, export.service)
    for policy in settings.policies:
        if policy.cluster == view.name:
            yield "GlobalTrafficPolicy", (policy.namespace, policy.name)
