"""The Docker network that k3d clusters and Redis share."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components.cluster.cluster import LABEL


@dataclass(frozen=True, kw_only=True)
class LocalNetworkArgs:
    """`gateway` is the first address of `subnet`: the host, seen from every container."""

    environment: str
    name: str
    subnet: str
    gateway: str


class LocalNetwork(pulumi.ComponentResource):
    """Creates one bridge network with a fixed subnet, so that addresses are known before anything runs."""

    network_name: pulumi.Output[str]

    def __init__(self, name: str, args: LocalNetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:cluster:LocalNetwork", name, None, opts)
        network = docker.Network(
            f"{name}-bridge",
            name=args.name,
            driver="bridge",
            ipam_configs=[docker.NetworkIpamConfigArgs(subnet=args.subnet, gateway=args.gateway)],
            labels=[docker.NetworkLabelArgs(label=LABEL, value=args.environment)],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.network_name = network.name
        self.register_outputs({"networkName": self.network_name})
