"""Kubernetes events for conditions that turned, so that `kubectl describe` tells the story."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gateway.core.conditions import DESIRED, Condition
from gateway.core.objects import HUB, Object, key_of, meta, version_of
from gateway.kube.status import current, timestamp

LONGEST_NOTE = 1000
"""Bytes of an event's message the API server takes: 1024."""


def condition_events(obj: Object, conditions: Iterable[Condition], now: float) -> Iterator[Mapping[str, Any]]:
    """One event per condition whose status is another than the object shows, except a first "no conflict"."""
    for condition in conditions:
        before = current(obj, condition.type).get("status")
        good = condition.status is DESIRED[condition.type]
        if before == str(condition.status) or (before is None and good and condition.type == "Conflict"):
            continue
        yield _event(obj, condition, "Normal" if good else "Warning", now)


def _event(obj: Object, condition: Condition, kind: str, now: float) -> Mapping[str, Any]:
    namespace, name = key_of(obj)
    at = timestamp(now)
    word = condition.type if condition.status else f"Not{condition.type}"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        # Events of cluster-scoped objects live in `default`.
        "metadata": {"generateName": f"{name[:200]}.", "namespace": namespace or "default"},
        "involvedObject": {
            "apiVersion": obj["apiVersion"],
            "kind": obj["kind"],
            "namespace": namespace,
            "name": name,
            "uid": meta(obj).get("uid") or "",
            "resourceVersion": version_of(obj),
        },
        "type": kind,
        "reason": word,
        "message": condition.message[:LONGEST_NOTE],
        "source": {"component": HUB},
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
