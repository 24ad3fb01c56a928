"""Kubernetes objects as nested mappings: the names that hub and gateway share, and how to read any object.

Reading here never fails: what is absent or of another shape is empty. What a user may get wrong is read by
`fields`, which says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Object = Mapping[str, Any]
SHAPES = (dict, Mapping)
"""What an object may be. Nearly all are dictionaries, which is quicker to tell."""
Key = tuple[str, str]
"""Namespace and name; the namespace of cluster-scoped objects is empty."""

FLOMESH = "flomesh.io/v1alpha1"
"""API version of our CRDs."""

SYSTEM_NAMESPACE = "multicluster-system"
"""Where gateways, controllers, the hub and Dapr's sidecars for them stand."""

HUB = "multicluster-hub"
GATEWAY = "multicluster-gateway"
CONTROLLER = "multicluster-controller"
MANAGED_BY = "app.kubernetes.io/managed-by"
IMPORTED = "multicluster.flomesh.io/imported"
DERIVED = {IMPORTED: "true", MANAGED_BY: GATEWAY}
"""Labels of what the gateway derives from an import."""

SERVICE_NAME = "kubernetes.io/service-name"
"""On an EndpointSlice: the Service it belongs to."""
IMPORT_NAME = "multicluster.flomesh.io/service"
"""On an EndpointSlice that lists gateways: the import whose requests it brings them."""
SERVICE_PORTS = "multicluster.flomesh.io/service-ports"
"""On such a slice: the Service's port by the gateways' service port, as JSON."""
SLICE_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
"""On an EndpointSlice: who writes it. Its other labels may be copies of the Service's."""


def section(parent: Object | None, name: str) -> Object:
    """The mapping at `name`."""
    found = parent.get(name) if parent else None
    return found if isinstance(found, SHAPES) else {}


def listed(parent: Object, name: str) -> Sequence[Object]:
    """The mappings in the list at `name`."""
    found = parent.get(name)
    return [item for item in found if isinstance(item, SHAPES)] if isinstance(found, list | tuple) else []


def texts(parent: Object, name: str) -> Sequence[str]:
    """The strings in the list at `name`."""
    found = parent.get(name)
    return [item for item in found if isinstance(item, str)] if isinstance(found, list | tuple) else []


def number(parent: Object, name: str) -> int:
    """The whole number at `name`, else 0."""
    found = parent.get(name)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def meta(obj: Object) -> Object:
    return section(obj, "metadata")


def spec_of(obj: Object) -> Object:
    return section(obj, "spec")


def key_of(obj: Object) -> Key:
    return str(meta(obj).get("namespace") or ""), str(meta(obj).get("name") or "")


def version_of(obj: Object) -> str:
    return str(meta(obj).get("resourceVersion") or "")


def uid_of(obj: Object) -> str:
    return str(meta(obj).get("uid") or "")


def created(obj: Object) -> str:
    """When it was made, as text that sorts by time. Without a time it counts as the youngest."""
    return str(meta(obj).get("creationTimestamp") or "9999")


def is_deleted(obj: Object) -> bool:
    """Whether it is being deleted and only finalizers keep it."""
    return bool(meta(obj).get("deletionTimestamp"))


def annotation(obj: Object, name: str) -> str:
    return str(section(meta(obj), "annotations").get(name) or "")


def label(obj: Object, name: str) -> str:
    return str(section(meta(obj), "labels").get(name) or "")


def has_selector(service: Object) -> bool:
    return bool(section(spec_of(service), "selector"))


def is_external_name(service: Object) -> bool:
    """Whether a Service stands for a name elsewhere."""
    return spec_of(service).get("type") == "ExternalName"


def is_marked(service: Object) -> bool:
    """Whether a Service carries the gateway's labels. With a selector it is a local one all the same."""
    labels = section(meta(service), "labels")
    return labels.get(IMPORTED) == "true" and labels.get(MANAGED_BY) == GATEWAY


def was_derived(service: Object) -> bool:
    """Whether a Service is, or was, derived from an import.

    Who makes it his own may leave this label and the owner: `helm install --take-ownership` changes but the
    one that says who manages it.
    """
    return label(service, IMPORTED) == "true"


def is_derived_service(service: Object) -> bool:
    """Whether the gateway derived this Service from an import (KEP-1645).

    Somebody who gives it a selector, or another name to stand for, makes it a local Service, before the
    gateway has taken its labels off.
    """
    return is_marked(service) and not has_selector(service) and not is_external_name(service)


def is_derived_slice(endpoint_slice: Object) -> bool:
    """Whether the gateway writes this EndpointSlice. Its other labels say nothing, they may be copies.

    A slice that Kubernetes made must not be deleted while its controller writes to it: the controller may
    wait for it forever, and the Service has no endpoints any more.
    """
    return label(endpoint_slice, SLICE_MANAGED_BY) == GATEWAY


def is_hub_import(imported: Object) -> bool:
    """Whether the hub made this ServiceImport."""
    return label(imported, MANAGED_BY) == HUB


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
