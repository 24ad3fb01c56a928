"""The membership of a cluster in FSM's control plane."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.cluster.cluster import Cluster
from components.flomesh.fsm import join_kubeconfig, join_spec


@dataclass(frozen=True, kw_only=True)
class FsmMembershipArgs:
    """`member` joins; the options name the control plane's provider."""

    member: Cluster
    control_plane: Cluster


class FsmMembership(pulumi.ComponentResource):
    """Creates the Cluster object in the control plane, with the member's own kubeconfig in it, a secret."""

    def __init__(
        self, name: str, args: FsmMembershipArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("multicluster-dapr:flomesh:FsmMembership", name, None, opts)
        member = args.member
        spec = join_spec(
            key=member.key,
            host=member.gateway_host,
            port=member.gateway_port,
            kubeconfig=member.kubeconfig.apply(join_kubeconfig),
        )
        kubernetes.apiextensions.CustomResource(
            f"{name}-cluster",
            api_version="flomesh.io/v1alpha1",
            kind="Cluster",
            metadata={"name": member.name},
            spec=dict(spec),
            opts=args.control_plane.child(self),
        )
        self.register_outputs({})
