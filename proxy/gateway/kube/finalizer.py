"""The finalizer that keeps a deleted object until what was written because of it has been taken back.

A Cluster deleted while the hub is down would take its credential along, and its imports would stay in that
cluster for good. A policy deleted while no controller runs would leave a Service without its selector.
Whoever gives up hub or controller takes the finalizer off by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.core.objects import Object, meta, texts, version_of

FINALIZER = "multicluster.flomesh.io/withdraw"


def is_set(obj: Object) -> bool:
    return FINALIZER in texts(meta(obj), "finalizers")


def add(obj: Object) -> Mapping[str, Any]:
    """Merge patch that adds the finalizer, unless the object has changed meanwhile."""
    return _patch(obj, [*texts(meta(obj), "finalizers"), FINALIZER])


def remove(obj: Object) -> Mapping[str, Any]:
    """Merge patch that takes it off."""
    return _patch(obj, [name for name in texts(meta(obj), "finalizers") if name != FINALIZER])


def _patch(obj: Object, finalizers: list[str]) -> Mapping[str, Any]:
    return {"metadata": {"finalizers": finalizers, "resourceVersion": version_of(obj)}}
