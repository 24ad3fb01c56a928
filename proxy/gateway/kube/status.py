"""Status conditions: the patch that writes them, and when there is nothing to write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from gateway.core.conditions import Condition
from gateway.core.objects import Object, listed, meta, number, section

LONGEST_MESSAGE = 2000
"""Bytes of a message that help; the API server takes 32768 and etcd pays for each."""


def timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def current(obj: Object, kind: str) -> Object:
    """The condition of this type on the object, empty when there is none."""
    for condition in listed(section(obj, "status"), "conditions"):
        if condition.get("type") == kind:
            return condition
    return {}


def status_patch(
    obj: Object,
    conditions: Iterable[Condition],
    now: float,
    *,
    kept: Iterable[str] = (),
    dropped: Iterable[str] = (),
) -> Mapping[str, Any] | None:
    """Server-side apply body for the status subresource, or None when the object says all this already.

    Only our own condition types are in it: the list is a map by type, so other writers' conditions stay.
    lastTransitionTime moves only when the status value does. `kept`: types of ours that stay as they are.
    `dropped`: types of ours that must not be there; whoever applies without them takes them off.
    """
    entries = [found for kind in kept if (found := current(obj, kind))]
    changed = any(current(obj, kind) for kind in dropped)
    for condition in conditions:
        before = current(obj, condition.type)
        status = "Unknown" if condition.status is None else str(condition.status)
        moved = before.get("status") != status
        wanted = {
            "type": condition.type,
            "status": status,
            "observedGeneration": number(meta(obj), "generation"),
            "reason": condition.reason,
            "message": condition.message[:LONGEST_MESSAGE],
        }
        changed = changed or any(before.get(name) != value for name, value in wanted.items())
        entries.append(
            wanted | {"lastTransitionTime": timestamp(now) if moved else before.get("lastTransitionTime")}
        )
    if not changed:
        return None
    names = {name: meta(obj)[name] for name in ("name", "namespace") if meta(obj).get(name)}
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "metadata": names,
        "status": {"conditions": entries},
    }
