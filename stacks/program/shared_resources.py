"""Resources beside the clusters that all of them use: network, images, Redis and its password."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pulumi
import pulumi_command as command
import pulumi_docker as docker

from components.cluster.cluster import Cluster
from components.cluster.local_network import LocalNetwork, LocalNetworkArgs
from components.dapr.trust_root import TrustRoot
from components.image.built_image import BuiltImage, BuiltImageArgs
from components.image.published_images import PublishedImages, PublishedImagesArgs, republished
from components.mesh.peers_key import PeersKey
from components.redis.generated_password import GeneratedPassword
from components.redis.redis import Redis, RedisArgs
from components.redis.redis_stateful_set import RedisStatefulSet, RedisStatefulSetArgs
from components.redis.users import AppUser
from stacks.config import registry
from stacks.config.kubeconfigs import Kubeconfig
from stacks.config.model import ClusterSettings, Settings
from stacks.config.present import Answers
from stacks.config.supply import Image, Supply
from stacks.program import state


@dataclass(frozen=True, kw_only=True)
class SharedResources:
    """The settings of an environment, and the resources that all its clusters use.

    `built` are images of the apps' folders. `kubeconfigs` are those of clusters that exist, `present` what
    these have already. `local` holds the providers of what runs on this machine: Docker objects and commands.
    `published` holds images that existing clusters get from a registry. `password` is that of Redis'
    administrator, or of an external Redis. `state_users` are the apps' users in a Redis that is made here.
    `peers_key` is what gateways know each other by. `trust_root` is there where Dapr is installed,
    `dapr_token` when gateways ask Dapr's sidecars.
    """

    settings: Settings
    supply: Supply
    kubeconfigs: Mapping[str, Kubeconfig]
    present: Answers
    docker_config: str | None
    environment: str
    local: pulumi.ResourceOptions
    network: LocalNetwork | None
    gateway: BuiltImage | None
    built: Mapping[str, BuiltImage]
    password: pulumi.Output[str] | None
    peers_key: pulumi.Output[str] | None
    state_users: Mapping[tuple[str, str], AppUser]
    trust_root: TrustRoot | None
    dapr_token: pulumi.Output[str] | None
    published: Mapping[str, PublishedImages]

    def image(self, name: str, config: ClusterSettings) -> pulumi.Input[str]:
        """The reference by which a cluster's nodes pull an image: redis, curl, or the folder of dapr's."""
        ref = {"redis": self.supply.redis, "curl": self.supply.curl, "dapr": self.supply.dapr}[name].ref
        if config.source == "k3d" or name not in self.published:
            return ref
        return self.published[name].registry.apply(lambda registry: republished(ref, registry))


def create(
    settings: Settings,
    supply: Supply,
    kubeconfigs: Mapping[str, Kubeconfig],
    present: Answers,
    environment: str,
) -> SharedResources:
    """Create all of them but Redis, which may live in a cluster."""
    local = pulumi.ResourceOptions(providers=[docker.Provider("docker"), command.Provider("command")])
    return SharedResources(
        settings=settings,
        supply=supply,
        kubeconfigs=kubeconfigs,
        present=present,
        docker_config=registry.login(settings),
        environment=environment,
        local=local,
        network=_network(settings, environment, local),
        gateway=_image("gateway", "proxy", settings, supply, local, compiler=supply.compiler.ref)
        if settings.mesh == "bundled"
        else None,
        built={
            folder: _image(PurePosixPath(folder).name, folder, settings, supply, local)
            for folder in _folders(settings)
        },
        password=None if settings.redis.mode == "none" else _password(settings, local),
        peers_key=PeersKey("peers-key", local).value if settings.mesh == "bundled" else None,
        state_users=state.users(settings, local),
        trust_root=TrustRoot("dapr-trust-root", local) if _has_root(settings) else None,
        dapr_token=GeneratedPassword("dapr-token", local).value
        if settings.dapr.invoke == "sidecar"
        else None,
        published={
            name: PublishedImages(
                f"{name}-images",
                PublishedImagesArgs(
                    pattern=pattern_of(name, supply),
                    content=Path(image.archive or image.ref).name,
                    registry=settings.images.registry.rstrip("/"),
                ),
                local,
            )
            for name, image in to_publish(settings, supply).items()
        },
    )


def _has_root(settings: Settings) -> bool:
    """Whether the Dapr of members gets a root from here.

    With mTLS off too: a root that came with mTLS would be another one for the parts of Dapr, with which
    sidecars speak TLS in any case, and all would have to restart at once. The article's has none without.
    """
    installed = any(member.dapr == "install" for member in settings.members)
    return installed and (settings.dapr_mtls or settings.versions == "current")


def _folders(settings: Settings) -> list[str]:
    """Folders of the apps, each once."""
    builds = (app.on(cluster).build for app in settings.apps for cluster in app.clusters)
    return list(dict.fromkeys(folder for folder in builds if folder is not None))


def to_publish(settings: Settings, supply: Supply) -> dict[str, Image]:
    """Images of the supply that clusters which exist use and cannot pull."""
    existing = {cluster.name for cluster in settings.clusters if cluster.source == "existing"}
    members = {member.name for member in settings.members if member.dapr == "install"}
    callers = {name for app in settings.apps for name in app.clusters if app.on(name).supplied == "curl"}
    used = {
        "curl": (supply.curl, existing & callers),
        "dapr": (supply.dapr, existing & members),
        "redis": (supply.redis, existing if settings.redis.mode == "statefulset" else set()),
    }
    return {name: image for name, (image, clusters) in used.items() if clusters and image.in_daemon}


def pattern_of(name: str, supply: Supply) -> str:
    """What `docker image ls` finds an image of the supply by; Dapr's are several, of one version."""
    if name == "dapr":
        return f"{supply.dapr.ref}/*:{supply.dapr_version}"
    return {"curl": supply.curl, "redis": supply.redis}[name].ref


def redis(shared: SharedResources, plane: Cluster) -> pulumi.Output[str] | None:
    """Create Redis where the settings want it; returns host:port as members reach it, None without one."""
    wanted, network = shared.settings.redis, shared.network
    if shared.password is None:
        return None
    users = list({user.name: user for user in shared.state_users.values()}.values())
    if wanted.mode == "statefulset":
        in_cluster = RedisStatefulSetArgs(
            cluster=plane,
            namespace=wanted.namespace,
            image=shared.image("redis", shared.settings.control_plane),
            host=str(wanted.host),
            port=wanted.port,
            password=shared.password,
            users=users,
        )
        return RedisStatefulSet("redis", in_cluster, plane.component()).address
    if wanted.mode == "external" or network is None:
        return pulumi.Output.from_input(f"{wanted.host}:{wanted.port}")
    args = RedisArgs(
        environment=shared.environment,
        image=shared.supply.redis.ref,
        network=network.network_name,
        addresses=tuple(dict.fromkeys([shared.settings.network.gateway, *shared.settings.bind_addresses])),
        port=wanted.port,
        password=shared.password,
        users=users,
    )
    return Redis("redis", args, shared.local).address


def _network(settings: Settings, environment: str, local: pulumi.ResourceOptions) -> LocalNetwork | None:
    if not settings.makes_network:
        return None
    network = settings.network
    return LocalNetwork(
        "network",
        LocalNetworkArgs(
            environment=environment, name=network.name, subnet=network.subnet, gateway=network.gateway
        ),
        local,
    )


def _image(
    name: str,
    context: str,
    settings: Settings,
    supply: Supply,
    local: pulumi.ResourceOptions,
    *,
    compiler: str | None = None,
) -> BuiltImage:
    args = BuiltImageArgs(
        context=context,
        base=supply.python.ref,
        compiler=compiler,
        registry=settings.images.registry,
    )
    return BuiltImage(name, args, local)


def _password(settings: Settings, local: pulumi.ResourceOptions) -> pulumi.Output[str]:
    if settings.redis_password is not None:
        return pulumi.Output.secret(settings.redis_password.get_secret_value())
    return GeneratedPassword("redis-password", local).value
