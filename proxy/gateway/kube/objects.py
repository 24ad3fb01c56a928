"""Reading raw Kubernetes objects (nested dicts) without trusting their shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Object = Mapping[str, Any]
Key = tuple[str, str]
"""Namespace and name; the namespace of cluster-scoped objects is empty."""


def section(parent: Object | None, name: str) -> Object:
    """The mapping at `name`, empty when absent or something else."""
    found = parent.get(name) if parent else None
    return found if isinstance(found, Mapping) else {}


def listed(parent: Object, name: str) -> Sequence[Object]:
    """The mappings in the list at `name`, none when absent or something else."""
    found = parent.get(name)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list | tuple) else []


def texts(parent: Object, name: str) -> Sequence[str]:
    """The strings in the list at `name`, none when absent or something else."""
    found = parent.get(name)
    return [item for item in found if isinstance(item, str)] if isinstance(found, list | tuple) else []


def port_of(obj: Object, name: str = "port") -> int:
    """The number at `name`, 0 when absent or something else."""
    found = obj.get(name)
    return found if isinstance(found, int) else 0


def meta(obj: Object) -> Object:
    return section(obj, "metadata")


def key_of(obj: Object) -> Key:
    return str(meta(obj).get("namespace") or ""), str(meta(obj).get("name") or "")


def version_of(obj: Object) -> str:
    return str(meta(obj).get("resourceVersion") or "")


def label(obj: Object, name: str) -> str:
    return str(section(meta(obj), "labels").get(name) or "")


def generation_of(obj: Object) -> int:
    return int(meta(obj).get("generation") or 0)


def spec_of(obj: Object) -> Object:
    return section(obj, "spec")


def covers(actual: object, wanted: object) -> bool:
    """Whether everything in `wanted` is in `actual`. Lists must match item by item.

    The API server adds defaults and bookkeeping to what it stores; this is the test for "nothing of ours to
    change".
    """
    if isinstance(wanted, Mapping):
        return isinstance(actual, Mapping) and all(
            covers(actual.get(name), value) for name, value in wanted.items()
        )
    if isinstance(wanted, list | tuple):
        return (
            isinstance(actual, list | tuple)
            and len(actual) == len(wanted)
            and all(covers(a, w) for a, w in zip(actual, wanted, strict=True))
        )
    return actual == wanted
