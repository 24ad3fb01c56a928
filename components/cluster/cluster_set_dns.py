"""Names of the cluster set (KEP-1645), NAME.NAMESPACE.svc.clusterset.local, in a cluster of this stack.

CoreDNS maps them to the derived Services by rules of its `rewrite` plugin. Its own support of ServiceImports
reads those of multicluster.x-k8s.io, which nobody writes here; once they are written, this goes as a whole.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_command as command
import pulumi_kubernetes as kubernetes

from components.cluster.cluster import Cluster

RULES = Path(__file__).with_name("cluster_set.override")
# k3s's own CoreDNS, and that of our node image, import the keys of this ConfigMap that end in `.override`.
CONFIG_MAP = {"name": "coredns-custom", "namespace": "kube-system"}
KEY = "multicluster-dapr.override"
SCRIPT = "components/cluster/reread_dns.sh"


@dataclass(frozen=True, kw_only=True)
class ClusterSetDnsArgs:
    """`cluster` was made by this stack: the CoreDNS of somebody else's is theirs to configure."""

    cluster: Cluster


def reread_command(rules: str) -> str:
    """Have CoreDNS read these rules now, by the kubeconfig on standard input."""
    return f"{SCRIPT} {hashlib.sha256(rules.encode()).hexdigest()[:12]}"


class ClusterSetDns(pulumi.ComponentResource):
    """Adds one key to the ConfigMap, whoever else has keys in it, and has CoreDNS take it in."""

    def __init__(
        self, name: str, args: ClusterSetDnsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        before = pulumi.ResourceOptions(aliases=[pulumi.Alias(type_="multicluster-dapr:mesh:ClusterSetDns")])
        opts = pulumi.ResourceOptions.merge(opts, before)
        super().__init__("multicluster-dapr:cluster:ClusterSetDns", name, None, opts)
        rules = RULES.read_text()
        patch = kubernetes.core.v1.ConfigMapPatch(
            f"{name}-rules",
            # The key is ours, also where a killed run left it with an owner the state does not know.
            metadata={**CONFIG_MAP, "annotations": {"pulumi.com/patchForce": "true"}},
            data={KEY: rules},
            opts=args.cluster.child(self),
        )
        command.local.Command(
            f"{name}-reread",
            create=reread_command(rules),
            stdin=args.cluster.kubeconfig,
            triggers=[args.cluster.creation_id],
            add_previous_output_in_env=False,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[patch]),
        )
        self.register_outputs({})
