"""What the hub keeps of other clusters' objects: the fields it reads, and no more bytes than said here.

A member, or a tenant of one, can store objects of any size, and the hub follows all clusters in one process.
"""

from __future__ import annotations

from gateway.core.objects import Object, listed, meta, section, spec_of

NAMES = {
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
}
EXPORT_ANNOTATIONS = "multicluster.flomesh.io/"
"""What ours begin with, which say more about an export."""
SERVICE_SPEC = {"type", "selector"}
PORT = {"name", "port", "protocol", "appProtocol"}
FIXED_WEIGHT = 256
"""Bytes that any object costs."""
MOST_BYTES = 8 << 20
"""Of one kind of one cluster, as text: some ten thousand exports. In memory it is five times as much."""


def export(obj: Object) -> Object:
    metadata = _names(obj)
    annotations = section(meta(obj), "annotations")
    if kept := {name: said for name, said in annotations.items() if name.startswith(EXPORT_ANNOTATIONS)}:
        metadata["annotations"] = kept
    return {**obj, "metadata": metadata}


def service(obj: Object) -> Object:
    spec = {name: value for name, value in spec_of(obj).items() if name in SERVICE_SPEC}
    spec["ports"] = [
        {name: value for name, value in port.items() if name in PORT}
        for port in listed(spec_of(obj), "ports")
    ]
    return {"metadata": _names(obj) | {"labels": section(meta(obj), "labels")}, "spec": spec}


def namespace(obj: Object) -> Object:
    return {"metadata": _names(obj)}


def weigh(obj: Object) -> int:
    """About how many bytes of text an object is. More than there is room for when it nests too deep."""
    try:
        return FIXED_WEIGHT + len(repr(obj))
    except RecursionError:
        return MOST_BYTES + 1


def _names(obj: Object) -> dict[str, object]:
    return {name: value for name, value in meta(obj).items() if name in NAMES}
