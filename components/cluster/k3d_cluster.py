"""A cluster that the k3d CLI creates on this machine."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_command as command
import pulumi_kubernetes as kubernetes

from components.cluster import k3d_config
from components.cluster.cluster import Cluster
from components.cluster.k3d_config import K3dConfig


@dataclass(frozen=True, kw_only=True)
class K3dClusterArgs:
    """`network` is the Docker network's name, `config.gateway` its first address."""

    key: str
    network: pulumi.Input[str]
    config: K3dConfig


class K3dCluster(pulumi.ComponentResource):
    """Creates the cluster with the k3d CLI and a Kubernetes provider that talks to it and to nothing else."""

    cluster: Cluster

    def __init__(self, name: str, args: K3dClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:cluster:K3dCluster", name, None, opts)
        config, gateway = args.config, args.config.gateway
        network = pulumi.Output.from_input(args.network)
        created = command.local.Command(
            f"{name}-k3d",
            create=k3d_config.create_command(name=name, environment=config.environment),
            update=k3d_config.update_command(name=name),
            delete=k3d_config.delete_command(name=name),
            stdin=network.apply(lambda name: k3d_config.render(config, name)),
            triggers=[network.apply(lambda name: k3d_config.identity(config, name))],
            # stdout is the kubeconfig: kept out of the log here, and out of plain state below.
            logging=command.local.Logging.STDERR,
            add_previous_output_in_env=False,
            opts=pulumi.ResourceOptions(
                parent=self,
                # Name and ports are taken by the old cluster until it is gone.
                delete_before_replace=True,
                additional_secret_outputs=["stdout"],
                custom_timeouts=pulumi.CustomTimeouts(create="10m", delete="5m"),
            ),
        )
        kubeconfig = pulumi.Output.secret(created.stdout)
        provider = kubernetes.Provider(
            f"{name}-kubernetes",
            kubeconfig=kubeconfig,
            # An id per creation: a cluster created again replaces what is in it, a new credential does not.
            cluster_identifier=created.id,
            # A killed run leaves objects the state does not know. Server-side apply, the default, takes them
            # over; ./stack sets a variable for their fields, which have a manager it does not know either.
            enable_secret_mutable=True,  # a renewed credential is an update, never a moment without one
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.cluster = Cluster(
            name=name,
            key=args.key,
            provider=provider,
            kubeconfig=kubeconfig,
            server=f"https://{gateway}:{config.api_port}",
            gateway_host=gateway,
            gateway_port=config.http_port,
            peers_port=config.peers_port,
            http=f"http://{next(iter(config.bind_addresses), gateway)}:{config.http_port}",
            context=f"k3d-{name}",
            creation_id=created.id,
            ends_with_provider=True,
        )
        # Not the secret: the engine's debugging log prints what components register, marked or not.
        self.register_outputs({})
