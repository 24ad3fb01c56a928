"""Services of a cluster: the user's own, those that the controller made, and who their endpoints are. Pure.

A Service that was taken over has no selector while it lasts: its endpoints are the gateways, its selector is
in an annotation, and the Service `name-local` beside it selects its pods.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from cli.observe.view import (
    GATEWAY,
    SYSTEM,
    ClusterView,
    Key,
    Object,
    annotations_of,
    key_of,
    labels_of,
    spec,
    status,
)

WRITER = "multicluster-gateway"
"""What marks as managed by whatever is made for the gateways; the controller writes it."""
MANAGED_BY = "app.kubernetes.io/managed-by"
DERIVED = {"multicluster.flomesh.io/imported": "true", MANAGED_BY: WRITER}
"""Labels of what is derived from an import."""
LOCAL_OF = "multicluster.flomesh.io/local-of"
"""Label of a Service beside one that was taken over, and of its slices: the name of that one."""
SELECTOR = "multicluster.flomesh.io/selector"
"""Annotation of a Service that was taken over: its selector, as JSON."""
SERVICE_NAME = "kubernetes.io/service-name"
SLICE_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
"""On an EndpointSlice: who writes it. The other labels may be copies of the Service's."""
CLUSTER_SET_SUFFIX = "-clusterset"
"""Ends the name of the Service behind an import's name in the cluster set."""


PUBLISHED = "multicluster.flomesh.io/published"
"""Annotation of a ServiceExport: anything but true keeps it between clusters."""


def is_published(export: Object | None) -> bool:
    """Whether an export has paths for the outside, if it is one."""
    return export is None or annotations_of(export).get(PUBLISHED, "true") == "true"


def is_derived(service: Object) -> bool:
    """Whether this Service is derived from an import (KEP-1645). With a selector it is local."""
    return labels_of(service).items() >= DERIVED.items() and not spec(service).get("selector")


def is_beside(service: Object) -> bool:
    """Whether this Service selects the pods of one that was taken over."""
    labels = labels_of(service)
    return bool(labels.get(LOCAL_OF)) and labels.get(MANAGED_BY) == WRITER


def is_taken_over(service: Object) -> bool:
    """Whether this Service's selector is kept in its annotation."""
    return bool(annotations_of(service).get(SELECTOR)) and not spec(service).get("selector")


def selector_of(service: Object) -> Mapping[str, str]:
    """The labels of a Service's pods: its selector, or the one that was taken over; empty without one."""
    own: Mapping[str, str] = spec(service).get("selector") or {}
    if own:
        return own
    try:
        kept = json.loads(annotations_of(service).get(SELECTOR) or "{}")
    except ValueError:
        return {}
    return kept if isinstance(kept, dict) else {}


def local_service(view: ClusterView, key: Key) -> Object | None:
    """A Service of the user's own, with pods in this cluster; none that the controller made."""
    found = view.one("Service", *key)
    return None if found is None or is_derived(found) or is_beside(found) else found


def gateway_addresses(view: ClusterView) -> set[str]:
    """Addresses of the gateway pods that are ready."""
    return {str(status(pod).get("podIP")) for pod in view.ready_pods(SYSTEM, {"app": GATEWAY})}


def listed_addresses(view: ClusterView, key: Key) -> set[str]:
    """Ready addresses that the controller lists for a Service: gateways, or pods in their place."""
    return _ready(one for one in _slices(view, key) if _is_written(one))


def ports_without_endpoints(view: ClusterView, key: Key) -> list[str]:
    """Names of a derived Service's ports that the controller's slices do not have: by it they are found.

    The port without a name has the empty one. Calls to such a port are refused.
    """
    service = view.one("Service", *key)
    if service is None or not is_derived(service):
        return []
    listed = {
        str(port.get("name") or "")
        for one in _slices(view, key)
        if _is_written(one)
        for port in one.get("ports") or []
    }
    named = [str(port.get("name") or "") for port in spec(service).get("ports") or []]
    return [name for name in named if name not in listed]


def pod_addresses(view: ClusterView, key: Key) -> set[str]:
    """Ready addresses of a Service's own pods, also while it is taken over."""
    beside = (
        one
        for one in view.all("EndpointSlice", key[0])
        if labels_of(one).get(LOCAL_OF) == key[1] and not _is_written(one)
    )
    return own_addresses(view, key) | _ready(beside)


def own_addresses(view: ClusterView, key: Key) -> set[str]:
    """Ready addresses that Kubernetes lists for a Service itself; nobody while it is taken over."""
    return _ready(one for one in _slices(view, key) if not _is_written(one))


def cluster_set_names(view: ClusterView) -> dict[str, str]:
    """The cluster set's names of a cluster's imports (KEP-1645), and the address each must have."""
    found = {}
    for imported in view.all("ServiceImport"):
        namespace, name = key_of(imported)
        service = view.one("Service", *cluster_set_key((namespace, name)))
        if service is not None and is_derived(service) and spec(service).get("clusterIP"):
            found[f"{name}.{namespace}.svc.clusterset.local"] = str(spec(service)["clusterIP"])
    return found


def cluster_set_key(key: Key) -> Key:
    """The Service behind the cluster set's name of an import."""
    return key[0], key[1] + CLUSTER_SET_SUFFIX


def _slices(view: ClusterView, key: Key) -> Iterator[Object]:
    return (
        one
        for one in view.all("EndpointSlice", key[0])
        if labels_of(one).get(SERVICE_NAME) == key[1] and not labels_of(one).get(LOCAL_OF)
    )


def _is_written(endpoint_slice: Object) -> bool:
    return labels_of(endpoint_slice).get(SLICE_MANAGED_BY) == WRITER


def _ready(slices: Iterator[Object]) -> set[str]:
    return {
        str(address)
        for one in slices
        for endpoint in one.get("endpoints") or []
        if (endpoint.get("conditions") or {}).get("ready") is not False
        for address in endpoint.get("addresses") or []
    }
