"""Redis as a container beside the clusters, which all share it, as in the article."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components.cluster.cluster import LABEL
from components.redis.users import AppUser, rendered

REDIS_PORT = 6379
# Read by the official image as well as by ours; users are in this file and in no argument or variable.
CONFIG_PATH = "/usr/local/etc/redis/redis.conf"


@dataclass(frozen=True, kw_only=True)
class RedisArgs:
    """`addresses` are the host addresses `port` is published on; the first is what the clusters use.

    `password` is the administrator's, `users` are those of the apps.
    """

    environment: str
    image: str
    network: pulumi.Input[str]
    addresses: Sequence[str]
    port: int
    password: pulumi.Input[str]
    users: Sequence[AppUser]


class Redis(pulumi.ComponentResource):
    """Creates a volume for the data and the container."""

    address: pulumi.Output[str]

    def __init__(self, name: str, args: RedisArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:redis:Redis", name, None, opts)
        volume = docker.Volume(
            f"{name}-data",
            name=f"multicluster-dapr-{args.environment}-redis",
            labels=[docker.VolumeLabelArgs(label=LABEL, value=args.environment)],
            opts=pulumi.ResourceOptions(parent=self),
        )
        container = docker.Container(
            f"{name}-server",
            name=f"multicluster-dapr-{args.environment}-redis",
            image=args.image,
            command=["redis-server", CONFIG_PATH],
            restart="unless-stopped",
            networks_advanced=[docker.ContainerNetworksAdvancedArgs(name=args.network)],
            ports=[
                docker.ContainerPortArgs(internal=REDIS_PORT, external=args.port, ip=address)
                for address in args.addresses
            ],
            # Redis reads its users when it starts: another file is another container, on the same data.
            uploads=[
                docker.ContainerUploadArgs(file=CONFIG_PATH, content=rendered(args.password, args.users))
            ],
            volumes=[docker.ContainerVolumeArgs(volume_name=volume.name, container_path="/data")],
            labels=[docker.ContainerLabelArgs(label=LABEL, value=args.environment)],
            opts=pulumi.ResourceOptions(
                parent=self,
                additional_secret_outputs=["uploads"],
                # Name and port are taken by the old one until it is gone.
                delete_before_replace=True,
            ),
        )
        # Nobody should dial Redis before it is there: the address is known only with the container's name.
        self.address = container.name.apply(lambda _: f"{args.addresses[0]}:{args.port}")
        self.register_outputs({"address": self.address})
