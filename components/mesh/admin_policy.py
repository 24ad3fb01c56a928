"""Who reaches the admin pages of gateways, controller and hub: nobody from another namespace."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from ..joinable_cluster import JoinableCluster
from .workload import ADMIN_PORT

NAME = "multicluster-admin"
READERS = {"multicluster.flomesh.io/metrics": "true"}
"""Label of namespaces whose pods read metrics, a Prometheus say."""
LAST_PORT = 65535


@dataclass(frozen=True, kw_only=True)
class AdminPolicyArgs:
    """`namespace` is the system namespace. `ranges` are addresses that are admitted, too: those of nodes.

    `readers` are namespaces that are admitted without the label.
    """

    cluster: JoinableCluster
    namespace: pulumi.Input[str]
    ranges: Sequence[str] = ()
    readers: Sequence[str] = ()


def admin_policy_spec(ranges: Sequence[str], namespaces: Sequence[str] = ()) -> dict[str, Any]:
    """Spec of the NetworkPolicy.

    All other ports stay open, those of Dapr's sidecars among them: what comes in there is the network's by
    intent. Nodes reach the pods that run on them in any case, and so do probes; an API server that hands on
    `./stack doctor`'s questions may run on another node, and is admitted by `ranges`.
    """
    readers = [
        {"podSelector": {}},
        {"namespaceSelector": {"matchLabels": READERS}},
        # Every namespace has this label, which nobody but the API server writes.
        *({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": one}}} for one in namespaces),
        *({"ipBlock": {"cidr": str(ipaddress.ip_network(one, strict=False))}} for one in ranges),
    ]
    others = [
        {"protocol": "TCP", "port": 1, "endPort": ADMIN_PORT - 1},
        {"protocol": "TCP", "port": ADMIN_PORT + 1, "endPort": LAST_PORT},
        {"protocol": "UDP", "port": 1, "endPort": LAST_PORT},
    ]
    return {
        "podSelector": {},
        "policyTypes": ["Ingress"],
        "ingress": [
            {"ports": others},
            {"from": readers, "ports": [{"protocol": "TCP", "port": ADMIN_PORT}]},
        ],
    }


class AdminPolicy(pulumi.ComponentResource):
    """Creates the NetworkPolicy of the system namespace; a cluster that enforces none takes no notice."""

    def __init__(self, name: str, args: AdminPolicyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:mesh:AdminPolicy", name, None, opts)
        kubernetes.networking.v1.NetworkPolicy(
            f"{name}-policy",
            metadata={"name": NAME, "namespace": args.namespace},
            spec=admin_policy_spec(args.ranges, args.readers),
            opts=args.cluster.child(self),
        )
        self.register_outputs({})
