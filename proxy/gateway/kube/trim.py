"""What is kept of objects: the fields that are read, and no more.

A tenant can store objects of any size, and a member's API server can serve any: what nobody reads must not
cost memory here. `export`, `service` and `namespace` are for the hub, which reads less of more clusters.
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
OWN_METADATA = NAMES | {"labels", "finalizers", "ownerReferences"}
ANNOTATIONS = ("multicluster.flomesh.io/", "dapr.io/app-id")
"""What those begin with that say more about an object."""
SERVICE_SPEC = {"type", "selector"}
PORT = {"name", "port", "protocol", "appProtocol"}
ENDPOINT = {"addresses", "conditions"}
STATUSLESS = {"Service", "HTTPEndpoint"}
"""Of which the status says nothing here."""
MOST_BYTES = 8 << 20
"""Of one kind of one cluster in the hub, as text: some ten thousand exports. In memory it is five times as
much."""


def export(obj: Object) -> Object:
    return {**obj, "metadata": _names(obj) | _annotations(obj)}


def service(obj: Object) -> Object:
    spec = {name: value for name, value in spec_of(obj).items() if name in SERVICE_SPEC}
    spec["ports"] = [
        {name: value for name, value in port.items() if name in PORT}
        for port in listed(spec_of(obj), "ports")
    ]
    return {"metadata": _names(obj) | {"labels": section(meta(obj), "labels")}, "spec": spec}


def namespace(obj: Object) -> Object:
    return {"metadata": _names(obj)}


def labelled(obj: Object) -> Object:
    """Of a namespace of the own cluster."""
    return {"metadata": _names(obj) | {"labels": section(meta(obj), "labels")}}


def own(obj: Object) -> Object:
    """Of an object of the own cluster that is routed by or written."""
    metadata = {name: value for name, value in meta(obj).items() if name in OWN_METADATA}
    kept = {**obj, "metadata": metadata | _annotations(obj)}
    if obj.get("kind") in STATUSLESS:
        kept.pop("status", None)
    if isinstance(obj.get("endpoints"), list | tuple):
        kept["endpoints"] = [
            {name: value for name, value in endpoint.items() if name in ENDPOINT}
            for endpoint in listed(obj, "endpoints")
        ]
    return kept


def _names(obj: Object) -> dict[str, object]:
    return {name: value for name, value in meta(obj).items() if name in NAMES}


def _annotations(obj: Object) -> dict[str, object]:
    said = section(meta(obj), "annotations")
    kept = {name: value for name, value in said.items() if name.startswith(ANNOTATIONS)}
    return {"annotations": kept} if kept else {}
