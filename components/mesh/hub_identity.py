"""The hub's ServiceAccount in one cluster, with only the rules it needs there."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from ..joinable_cluster import JoinableCluster
from . import rbac
from .account import Account
from .admission import Admission, AdmissionArgs, hub_spec

NAME = rbac.HUB_ACCOUNT


@dataclass(frozen=True, kw_only=True)
class HubIdentityArgs:
    """`namespace` is the system namespace of `cluster`. `admission` is as in ControllerArgs.

    `peers`: the hub carries roots of certificates there. `pods`: whether pods run as this account.
    """

    cluster: JoinableCluster
    namespace: pulumi.Input[str]
    admission: bool = True
    peers: bool = False
    pods: bool = True


class HubIdentity(pulumi.ComponentResource):
    """Creates the ServiceAccount, the ClusterRole and their binding, and the admission policy for it."""

    account: pulumi.Output[str]
    binding: pulumi.Resource

    def __init__(self, name: str, args: HubIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:mesh:HubIdentity", name, None, opts)
        cluster = args.cluster
        account = kubernetes.core.v1.ServiceAccount(
            f"{name}-account",
            metadata={"name": NAME, "namespace": args.namespace},
            automount_service_account_token=None if args.pods else False,
            opts=cluster.child(self),
        )
        self.account = account.metadata["name"]
        me = Account(parent=self, cluster=cluster, name=self.account, namespace=args.namespace)
        self.binding = me.may(name, NAME, (*rbac.HUB, *(rbac.HUB_PEERS if args.peers else ())))
        if args.admission:
            spec = pulumi.Output.from_input(args.namespace).apply(
                lambda namespace: hub_spec(account=NAME, namespace=namespace)
            )
            policy = AdmissionArgs(cluster=cluster, name=NAME, spec=spec)
            Admission(f"{name}-admission", policy, pulumi.ResourceOptions(parent=self))
        self.register_outputs({"account": self.account})
