"""The membership of a cluster: the hub's identity in it, a Cluster object in the control plane."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import yaml

from ..joinable_cluster import JoinableCluster, location
from .hub_bootstrap import NAME as BOOTSTRAP
from .hub_bootstrap import HubBootstrap, HubBootstrapArgs
from .hub_identity import HubIdentity, HubIdentityArgs
from .kept_token import KeptToken, KeptTokenArgs

KEY = "kubeconfig"


@dataclass(frozen=True, kw_only=True)
class ClusterMembershipArgs:
    """The namespaces are the system namespaces of member and control plane; `hub` is what runs the hub.

    `may_export`: namespaces whose Services others may import from the member; None: any they have, too.
    `admission` is as in ControllerArgs, of the member. `mutual_tls`: gateways prove whose they are.
    """

    member: JoinableCluster
    member_namespace: pulumi.Input[str]
    control_plane: JoinableCluster
    control_plane_namespace: pulumi.Input[str]
    hub: pulumi.Resource
    may_export: Sequence[pulumi.Input[str]] | None = None
    admission: bool = True
    mutual_tls: bool = False


def hub_kubeconfig(*, cluster: str, server: str, ca_base64: str, token: str, server_name: str = "") -> str:
    """A self-contained kubeconfig: how the hub reaches one member, and begins there."""
    name = {"tls-server-name": server_name} if server_name else {}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": cluster,
                    "cluster": {"server": server, "certificate-authority-data": ca_base64, **name},
                }
            ],
            "users": [{"name": BOOTSTRAP, "user": {"token": token}}],
            "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": BOOTSTRAP}}],
            "current-context": cluster,
        },
        sort_keys=False,
    )


def cluster_spec(
    member: JoinableCluster,
    *,
    secret: pulumi.Input[str],
    namespace: pulumi.Input[str],
    account: pulumi.Input[str],
    kept: pulumi.Input[str],
    may_export: Sequence[pulumi.Input[str]] | None = None,
    mutual_tls: bool = False,
) -> dict[str, Any]:
    """Spec of the Cluster object; credentials are named, not written into it.

    `secret` holds the one to begin with; `kept` keeps the hub's tokens, which are those of `account` in
    `namespace` of the member.
    """
    where = location(key=member.key, host=member.gateway_host, port=member.gateway_port)
    if mutual_tls and member.peers_port is not None:
        where["gatewayPeersPort"] = member.peers_port
    allowed = {} if may_export is None else {"mayExport": list(may_export)}
    return {
        **where,
        **allowed,
        "kubeconfigSecretRef": {"name": secret, "key": KEY},
        "tokenRequest": {
            "namespace": namespace,
            "serviceAccount": account,
            "secret": kept,
            "bootstrapSecret": BOOTSTRAP,
        },
    }


class ClusterMembership(pulumi.ComponentResource):
    """Creates the hub's identity in the member with a credential to begin with, and in the control plane the
    Secrets and the Cluster.

    `joined` is the name of the Cluster object, known once that is there.
    """

    joined: pulumi.Output[str]

    def __init__(
        self, name: str, args: ClusterMembershipArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("multicluster-dapr:mesh:ClusterMembership", name, None, opts)
        member, plane = args.member, args.control_plane
        in_member = pulumi.ResourceOptions(parent=self, provider=member.provider)
        identity = HubIdentity(
            f"{name}-identity",
            HubIdentityArgs(
                cluster=member,
                namespace=args.member_namespace,
                admission=args.admission,
                peers=args.mutual_tls,
                pods=False,
            ),
            in_member,
        )
        bootstrap = HubBootstrap(
            f"{name}-bootstrap",
            HubBootstrapArgs(
                cluster=member,
                namespace=args.member_namespace,
                account=identity.account,
                admission=args.admission,
            ),
            in_member,
        )
        kubeconfig: pulumi.Output[str] = pulumi.Output.secret(
            pulumi.Output.all(bootstrap.data, member.server).apply(
                lambda values: hub_kubeconfig(
                    cluster=member.name,
                    server=values[1],
                    ca_base64=values[0]["ca.crt"],
                    token=base64.b64decode(values[0]["token"]).decode(),
                    server_name=member.server_name,
                )
            )
        )
        credential = kubernetes.core.v1.Secret(
            f"{name}-bootstrap-credential",
            metadata={"name": f"{member.name}-hub-bootstrap", "namespace": args.control_plane_namespace},
            string_data={KEY: kubeconfig},
            # The credential works from the moment the hub can read it.
            opts=_in(plane, self, identity.binding, *bootstrap.bindings),
        )
        kept = KeptToken(
            f"{name}-kept",
            KeptTokenArgs(cluster=plane, namespace=args.control_plane_namespace, member=member.name),
            pulumi.ResourceOptions(parent=self, provider=plane.provider),
        )
        cluster = kubernetes.apiextensions.CustomResource(
            f"{name}-cluster",
            api_version="flomesh.io/v1alpha1",
            kind="Cluster",
            metadata={"name": member.name},
            spec=cluster_spec(
                member,
                secret=credential.metadata["name"],
                namespace=args.member_namespace,
                account=identity.account,
                kept=kept.secret,
                may_export=args.may_export,
                mutual_tls=args.mutual_tls,
            ),
            # A deleted Cluster waits for the hub to take back what it wrote: the hub must outlive it.
            opts=_in(plane, self, args.hub, kept.binding),
        )
        self.joined = cluster.metadata["name"]
        self.register_outputs({})


def _in(
    cluster: JoinableCluster, parent: pulumi.Resource, *depends_on: pulumi.Resource
) -> pulumi.ResourceOptions:
    # This component spans two clusters, so that no provider can come from the component's own options.
    return pulumi.ResourceOptions.merge(
        pulumi.ResourceOptions(provider=cluster.provider), cluster.child(parent, depends_on=depends_on)
    )
