"""An existing cluster, which someone else runs, reached by kubeconfig and context."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.cluster.cluster import Cluster


@dataclass(frozen=True, kw_only=True)
class ExistingClusterArgs:
    """`kubeconfig` is the text of a kubeconfig (a secret), `server` its API as the hub reaches it.

    `server_name`: what the certificate there is for, when that is not the host of `server`.
    """

    key: str
    kubeconfig: pulumi.Input[str]
    context: str
    server: str
    gateway_host: str
    gateway_port: int
    peers_port: int | None = None
    server_name: str = ""


class ExistingCluster(pulumi.ComponentResource):
    """Creates only a Kubernetes provider; the cluster itself is never touched."""

    cluster: Cluster

    def __init__(
        self, name: str, args: ExistingClusterArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("multicluster-dapr:cluster:ExistingCluster", name, None, opts)
        kubeconfig = pulumi.Output.secret(args.kubeconfig)
        provider = kubernetes.Provider(
            f"{name}-kubernetes",
            kubeconfig=kubeconfig,
            context=args.context,
            # The API's address is the cluster's identity: a renewed credential replaces nothing.
            cluster_identifier=args.server,
            # Server-side apply would take over what is there already, and `destroy` would then delete it.
            enable_server_side_apply=False,
            enable_secret_mutable=True,  # a renewed credential is an update, never a moment without one
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.cluster = Cluster(
            name=name,
            key=args.key,
            provider=provider,
            kubeconfig=kubeconfig,
            server=args.server,
            gateway_host=args.gateway_host,
            gateway_port=args.gateway_port,
            peers_port=args.peers_port,
            http=f"http://{args.gateway_host}:{args.gateway_port}",
            context=args.context,
            server_name=args.server_name,
        )
        # Not the secret: the engine's debugging log prints what components register, marked or not.
        self.register_outputs({})
