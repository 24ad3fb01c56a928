"""What a run that was killed or failed has left in the engine's state, and the state without it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CREATING = "the last run was killed while it was creating resources"
DELETED = "the last run failed while it replaced a cluster; what was in it has been deleted"


def repaired(deployment: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The deployment as the engine takes it again, and what was wrong with it, in words."""
    found, said = dict(deployment), []
    pending = found.get("pending_operations") or []
    kept = [one for one in pending if one["type"] != "creating"]
    if len(kept) < len(pending):
        found["pending_operations"] = kept
        said.append(CREATING)
    resources = found.get("resources") or []
    if gone := _deleted_with_their_provider(resources):
        found["resources"] = [_without(one, gone) for one in resources if one["urn"] not in gone]
        said.append(DELETED)
    return found, said


def _deleted_with_their_provider(resources: list[Any]) -> set[str]:
    """URNs of what was deleted to be replaced and is still listed, where its provider no longer is.

    They are there no more, and runs on such a state were seen to end with `could not find provider`.
    """
    providers = {f"{one.get('urn')}::{one.get('id', '')}" for one in resources}
    return {
        str(one["urn"])
        for one in resources
        if one.get("pendingReplacement") and one.get("provider", "") not in {"", *providers}
    }


def _without(resource: Mapping[str, Any], gone: set[str]) -> dict[str, Any]:
    """The resource, which depends on nothing that is gone: the engine would refuse that as well."""
    left = dict(resource)
    if "dependencies" in left:
        left["dependencies"] = [urn for urn in left["dependencies"] or [] if urn not in gone]
    if "propertyDependencies" in left:
        left["propertyDependencies"] = {
            name: [urn for urn in urns or [] if urn not in gone]
            for name, urns in (left["propertyDependencies"] or {}).items()
        }
    if left.get("deletedWith") in gone:
        del left["deletedWith"]
    return left
