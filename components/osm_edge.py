"""osm-edge, the service mesh of each member in the flomesh mesh, by its chart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import chart
from components.cluster import Cluster

NAMESPACE = "osm-system"
MESH = "osm"
# Dapr's placement service and its Raft port: the sidecars must reach them past the mesh.
DAPR_PORTS = (50005, 8201)


@dataclass(frozen=True, kw_only=True)
class OsmEdgeArgs:
    """`chart` is a folder or a name in `repository`; `redis_port` is kept out of the mesh."""

    cluster: Cluster
    chart: str
    version: str
    repository: str | None
    redis_port: int


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


def mesh_config_patch(*, api_address: Any, redis_port: int) -> dict[str, Any]:
    """What the article patches into MeshConfig: the API server, Dapr and Redis are reached past the mesh."""
    return {
        "traffic": {
            "outboundIPRangeExclusionList": [api_address],
            "outboundPortExclusionList": [*DAPR_PORTS, redis_port],
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
    """Reads two addresses of the cluster, creates namespace and release, then patches MeshConfig.

    Pods depend on this component: a sidecar injected before the patch keeps the old exclusions for good.
    """

    def __init__(self, name: str, args: OsmEdgeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:flomesh:OsmEdge", name, None, opts)
        cluster = args.cluster
        dns = _service(f"{name}-dns", "kube-system/kube-dns", self)
        api = _service(f"{name}-api", "default/kubernetes", self)
        installed = chart.install(
            name,
            self,
            cluster=cluster,
            namespace=NAMESPACE,
            release=MESH,
            chart=args.chart,
            version=args.version,
            repository=args.repository,
            values=osm_values(dns_address=dns),
            seconds=900,
        )
        kubernetes.apiextensions.CustomResourcePatch(
            f"{name}-mesh-config",
            api_version="config.openservicemesh.io/v1alpha2",
            kind="MeshConfig",
            metadata={
                "name": "osm-mesh-config",
                "namespace": installed.namespace,
                # The chart's own values set these lists empty and own them.
                "annotations": {"pulumi.com/patchForce": "true"},
            },
            spec=mesh_config_patch(
                api_address=api.apply(lambda address: f"{address}/32"), redis_port=args.redis_port
            ),
            # The bootstrap pod of the release makes the kind and the object.
            opts=cluster.child(self, depends_on=[installed.release]),
        )
        self.register_outputs({})


def _service(name: str, identity: str, parent: pulumi.Resource) -> pulumi.Output[str]:
    """The address of a Service the cluster came with."""
    service = kubernetes.core.v1.Service.get(name, identity, pulumi.ResourceOptions(parent=parent))
    address: pulumi.Output[str] = service.spec.cluster_ip
    return address
