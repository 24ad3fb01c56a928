"""Exports and policies that the settings have and a cluster has not. Pure.

The doctor finds them on the way of calls. What walks no paths, status and live page, has them from here.
"""

from __future__ import annotations

from cli.doctor import whose
from cli.doctor.check import Check, failed
from cli.doctor.platform import platform_checks
from cli.observe.view import Platform


def broken(platform: Platform) -> list[Check]:
    """What has failed, as far as it is known without walking paths."""
    return failed([*platform_checks(platform), *lost_checks(platform)])


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
        for kind, key in whose.made_in(platform.settings, view.name)
        if kind in view.objects and view.lacks(kind, *key)
    ]
