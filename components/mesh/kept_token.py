"""Where the hub keeps its token of one member: a Secret beside it, and the right to write that one."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from ..joinable_cluster import JoinableCluster
from . import rbac
from .account import Account


@dataclass(frozen=True, kw_only=True)
class KeptTokenArgs:
    """`cluster` is the control plane, `namespace` its system namespace, `member` the name of the member."""

    cluster: JoinableCluster
    namespace: pulumi.Input[str]
    member: str


class KeptToken(pulumi.ComponentResource):
    """Creates the Secret, empty, and the role of the hub's account there; `secret` is its name."""

    secret: pulumi.Output[str]
    binding: pulumi.Resource

    def __init__(self, name: str, args: KeptTokenArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:mesh:KeptToken", name, None, opts)
        kept = f"{args.member}-hub-token"
        # What is in it is the hub's business, in the cluster alone.
        ignored = pulumi.ResourceOptions(ignore_changes=["data", "stringData"])
        secret = kubernetes.core.v1.Secret(
            f"{name}-secret",
            metadata={"name": kept, "namespace": args.namespace},
            opts=pulumi.ResourceOptions.merge(args.cluster.child(self), ignored),
        )
        self.secret = secret.metadata["name"]
        hub = Account(parent=self, cluster=args.cluster, name=rbac.HUB_ACCOUNT, namespace=args.namespace)
        self.binding = hub.may_at_home(name, kept, rbac.hub_keeps(kept))
        self.register_outputs({"secret": self.secret})
