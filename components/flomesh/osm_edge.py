"""osm-edge, the service mesh of each member in the flomesh mesh, by its chart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import chart
from components.cluster.cluster import Cluster

NAMESPACE = "osm-system"
MESH = "osm"


@dataclass(frozen=True, kw_only=True)
class OsmEdgeArgs:
    """`chart` is a folder or a name in `repository`."""

    cluster: Cluster
    chart: str
    version: str
    repository: str | None


def osm_values(*, dns_address: Any) -> dict[str, Any]:
    """Values of the chart, as in the article; `dns_address` is the cluster's own DNS service."""
    return {
        "osm": {
            "meshName": MESH,
            "osmNamespace": NAMESPACE,
            "certificateProvider": {"kind": "tresor"},
            "image": {"pullPolicy": "Always"},
            "sidecarLogLevel": "error",
            "controllerLogLevel": "warn",
            "localDNSProxy": {"enable": True, "primaryUpstreamDNSServerIPAddr": dns_address},
        }
    }


def mesh_namespace(name: str) -> dict[str, Any]:
    """Metadata of a namespace in the mesh: what `osm namespace add` sets."""
    return {
        "name": name,
        "labels": {"openservicemesh.io/monitored-by": MESH},
        "annotations": {"openservicemesh.io/sidecar-injection": "enabled"},
    }


class OsmEdge(pulumi.ComponentResource):
    """Reads the address of the cluster's DNS, then creates namespace and release."""

    namespace: pulumi.Output[str]
    release: pulumi.CustomResource

    def __init__(self, name: str, args: OsmEdgeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:flomesh:OsmEdge", name, None, opts)
        installed = chart.install(
            name,
            self,
            cluster=args.cluster,
            namespace=NAMESPACE,
            release=MESH,
            chart=args.chart,
            version=args.version,
            repository=args.repository,
            values=osm_values(dns_address=service_address(f"{name}-dns", "kube-system/kube-dns", self)),
            seconds=900,
        )
        self.namespace, self.release = installed.namespace, installed.release
        self.register_outputs({})


def service_address(name: str, identity: str, parent: pulumi.Resource) -> pulumi.Output[str]:
    """The address of a Service the cluster came with."""
    service = kubernetes.core.v1.Service.get(name, identity, pulumi.ResourceOptions(parent=parent))
    address: pulumi.Output[str] = service.spec.cluster_ip
    return address
