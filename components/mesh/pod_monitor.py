"""How a Prometheus finds the metrics of gateways, controllers and hub: by annotations, or by a PodMonitor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from ..joinable_cluster import JoinableCluster
from . import controller, gateway, hub
from .workload import ADMIN_PORT

NAME = "multicluster"
PODS = (controller.NAME, gateway.NAME, hub.NAME)
ANNOTATIONS = {
    "prometheus.io/scrape": "true",
    "prometheus.io/port": str(ADMIN_PORT),
    "prometheus.io/path": "/metrics",
}
"""By these Prometheus's own example configuration finds pods, and many charts of it."""


@dataclass(frozen=True, kw_only=True)
class PodMonitorArgs:
    """`namespace` is the system namespace. By `labels` a Prometheus chooses its PodMonitors."""

    cluster: JoinableCluster
    namespace: pulumi.Input[str]
    labels: Mapping[str, str] = field(default_factory=dict)


def pod_monitor_spec() -> dict[str, Any]:
    """Spec of the PodMonitor: every pod of the mesh's own by its admin port, and none of Dapr beside them."""
    return {
        "selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": list(PODS)}]},
        # Else a label `cluster` or `service` of the Prometheus's would take the place of ours.
        "podMetricsEndpoints": [{"port": "admin", "path": "/metrics", "honorLabels": True}],
    }


class PodMonitor(pulumi.ComponentResource):
    """Creates the PodMonitor of the system namespace; the CRD of the Prometheus Operator has to be there."""

    def __init__(self, name: str, args: PodMonitorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:mesh:PodMonitor", name, None, opts)
        labels = {"labels": dict(args.labels)} if args.labels else {}
        kubernetes.apiextensions.CustomResource(
            f"{name}-object",
            api_version="monitoring.coreos.com/v1",
            kind="PodMonitor",
            metadata={"name": NAME, "namespace": args.namespace, **labels},
            spec=pod_monitor_spec(),
            opts=args.cluster.child(self),
        )
        self.register_outputs({})
