"""The MeshConfig of osm-edge: its sidecars leave alone the API server, Dapr's control plane and Redis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.cluster.cluster import Cluster
from components.flomesh.osm_edge import service_address

OBJECT = "osm-mesh-config"
# Dapr's placement service and its Raft port: the sidecars must reach them past the mesh.
DAPR_PORTS = (50005, 8201)


@dataclass(frozen=True, kw_only=True)
class MeshConfigArgs:
    """`namespace` is osm-edge's; `redis_port` is kept out of the mesh."""

    cluster: Cluster
    namespace: pulumi.Input[str]
    redis_port: int


def mesh_config_patch(*, api_address: Any, redis_port: int) -> dict[str, Any]:
    """What the article patches into MeshConfig: the API server, Dapr and Redis are reached past the mesh."""
    return {
        "traffic": {
            "outboundIPRangeExclusionList": [api_address],
            "outboundPortExclusionList": [*DAPR_PORTS, redis_port],
        }
    }


class MeshConfig(pulumi.ComponentResource):
    """Patches the MeshConfig that osm-edge's bootstrap created; earlier, the patch would create a bare one.

    Pods depend on this component: a sidecar injected before the patch keeps the old exclusions for good.
    """

    def __init__(self, name: str, args: MeshConfigArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:flomesh:MeshConfig", name, None, opts)
        api = service_address(f"{name}-api", "default/kubernetes", self)
        kubernetes.apiextensions.CustomResourcePatch(
            f"{name}-patch",
            api_version="config.openservicemesh.io/v1alpha2",
            kind="MeshConfig",
            metadata={
                "name": OBJECT,
                "namespace": args.namespace,
                # The chart's own values set these lists empty and own them.
                "annotations": {"pulumi.com/patchForce": "true"},
            },
            spec=mesh_config_patch(
                api_address=api.apply(lambda address: f"{address}/32"), redis_port=args.redis_port
            ),
            opts=pulumi.ResourceOptions.merge(
                args.cluster.child(self),
                pulumi.ResourceOptions(provider=args.cluster.patcher(f"{name}-patcher", self)),
            ),
        )
        self.register_outputs({})
