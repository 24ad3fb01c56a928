"""The finalizer that keeps a deleted Cluster object until the hub has taken back what it wrote there.

Without it a Cluster deleted while the hub is down would take its credential along, and its imports would stay
in that cluster for good. Whoever gives up the hub itself takes the finalizer off by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.core.objects import Object, meta, texts, version_of

FINALIZER = "multicluster.flomesh.io/withdraw"


def is_set(cluster: Object) -> bool:
    return FINALIZER in texts(meta(cluster), "finalizers")


def add(cluster: Object) -> Mapping[str, Any]:
    """Merge patch that adds the finalizer, unless the object has changed meanwhile."""
    return _patch(cluster, [*texts(meta(cluster), "finalizers"), FINALIZER])


def remove(cluster: Object) -> Mapping[str, Any]:
    """Merge patch that takes it off."""
    return _patch(cluster, [name for name in texts(meta(cluster), "finalizers") if name != FINALIZER])


def _patch(cluster: Object, finalizers: list[str]) -> Mapping[str, Any]:
    return {"metadata": {"finalizers": finalizers, "resourceVersion": version_of(cluster)}}
