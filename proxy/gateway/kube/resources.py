"""The API resources we read and write, and their paths."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.objects import FLOMESH


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object and where the API serves it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def root(self) -> str:
        prefix = "/apis/" if "/" in self.api_version else "/api/"
        return prefix + self.api_version

    def collection(self, namespace: str | None = None) -> str:
        """Path of the list; without a namespace that of all namespaces."""
        if namespace and self.namespaced:
            return f"{self.root}/namespaces/{namespace}/{self.plural}"
        return f"{self.root}/{self.plural}"

    def item(self, namespace: str, name: str) -> str:
        return f"{self.collection(namespace)}/{name}"


CLUSTER = Resource(FLOMESH, "Cluster", "clusters", namespaced=False)
EXPORT = Resource(FLOMESH, "ServiceExport", "serviceexports")
IMPORT = Resource(FLOMESH, "ServiceImport", "serviceimports")
POLICY = Resource(FLOMESH, "GlobalTrafficPolicy", "globaltrafficpolicies")
PEER = Resource(FLOMESH, "Peer", "peers", namespaced=False)
SERVICE = Resource("v1", "Service", "services")
SLICE = Resource("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
ENDPOINTS = Resource("v1", "Endpoints", "endpoints")
LEASE = Resource("coordination.k8s.io/v1", "Lease", "leases")
SECRET = Resource("v1", "Secret", "secrets")
SERVICE_ACCOUNT = Resource("v1", "ServiceAccount", "serviceaccounts")
NAMESPACE = Resource("v1", "Namespace", "namespaces", namespaced=False)
EVENT = Resource("v1", "Event", "events")
HTTP_ENDPOINT = Resource("dapr.io/v1alpha1", "HTTPEndpoint", "httpendpoints")
"""Dapr's: a name that sidecars of a namespace call over HTTP instead of an app. There only where Dapr is."""
