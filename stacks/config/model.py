"""The settings of an environment as frozen, typed values.

Field names are the keys of Pulumi.<env>.yaml in camel case; descriptions are what Pulumi.yaml shows.
Only rules about one value live here and in the modules beside it; rules between values are in
stacks/config/checks.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import Field

from stacks.config.apps import AppSettings
from stacks.config.dapr import DaprSettings, OfDapr
from stacks.config.gateway import GatewaySettings
from stacks.config.traffic import (
    ExportSettings,
    HostSettings,
    PathSettings,
    PolicySettings,
    PolicyTarget,
)
from stacks.config.values import (
    Address,
    ClusterName,
    DnsLabel,
    Flag,
    Host,
    InsideRange,
    KeyPart,
    Number,
    Password,
    Port,
    Section,
    Subnet,
    Url,
)


class ClusterSettings(Section):
    """One Kubernetes cluster, created with k3d or existing."""

    name: ClusterName = Field(description="Name, unique in the environment.")
    role: Literal["control-plane", "member"] = Field(
        default="member", description="Exactly one cluster is control-plane."
    )
    source: Literal["k3d", "existing"] = Field(
        default="k3d", description="Created here with k3d, or already running."
    )
    region: KeyPart = Field(default="default", description="First part of the cluster key.")
    zone: KeyPart = Field(default="default", description="Second part of the cluster key.")
    group: KeyPart = Field(default="default", description="Third part of the cluster key.")
    api_port: Port | None = Field(default=None, description="k3d: host port of the Kubernetes API.")
    http_port: Port | None = Field(default=None, description="k3d: host port of the gateway.")
    pod_cidr: InsideRange | None = Field(
        default=None, description="k3d: address range of pods; default 10.42.0.0/16."
    )
    service_cidr: InsideRange | None = Field(
        default=None, description="k3d: address range of services; default 10.43.0.0/16."
    )
    kubeconfig: str | None = Field(default=None, description="existing: path of a kubeconfig file.")
    context: str | None = Field(default=None, description="existing: context in that kubeconfig.")
    gateway_host: Host | None = Field(
        default=None, description="existing: address other clusters reach its gateway at."
    )
    gateway_port: Port | None = Field(
        default=None, description="existing: port other clusters reach its gateway at."
    )
    peers_port: Port | None = Field(
        default=None,
        description="member: port at which others' gateways reach its own with mutual TLS; k3d: a host port, "
        "default 20000 above `httpPort`.",
    )
    api_server: Url | None = Field(
        default=None, description="existing: API URL seen from the hub; default the context's."
    )
    cluster_domain: Host | None = Field(
        default=None, description="existing: what names of Services end with there; default cluster.local."
    )
    dapr: Literal["install", "existing", "none"] | None = Field(
        default=None, description="member: Dapr of this one; default `dapr.mode`."
    )
    may_export: tuple[DnsLabel, ...] | None = Field(
        default=None,
        max_length=1024,
        description="member: namespaces that others may import from it; default any they have, too.",
    )

    capacity: Annotated[Number, Field(ge=1, le=100)] | None = Field(
        default=None,
        description="Most of a service's calls it is to get, in percent of those of all clusters, which "
        "count alike; ./stack preview says when it would get more. Default: no bound.",
    )
    protect: Flag = Field(
        default=False, description="./stack drill takes nothing of it away, and refuses when it is asked to."
    )
    admission_policy: Flag = Field(
        default=True,
        description="Its API server refuses controller and hub what they have no business writing; false for "
        "Kubernetes before 1.30.",
    )

    @property
    def key(self) -> str:
        """The cluster key, region/zone/group/name."""
        return f"{self.region}/{self.zone}/{self.group}/{self.name}"

    @property
    def pod_range(self) -> str:
        """Address range of the pods of a k3d cluster; k3s's own unless set."""
        return self.pod_cidr or "10.42.0.0/16"

    @property
    def service_range(self) -> str:
        """Address range of the services of a k3d cluster; k3s's own unless set."""
        return self.service_cidr or "10.43.0.0/16"


class NetworkSettings(Section):
    """The Docker network of the k3d clusters and Redis. Its first address is how they reach each other."""

    name: DnsLabel = Field(default="multi-clusters", description="Name of the Docker network.")
    subnet: Subnet = Field(
        default="172.28.0.0/16", description="Fixed, so that addresses are known before anything runs."
    )

    @property
    def gateway(self) -> str:
        """The first address: the host, seen from every container of the network."""
        return str(next(ipaddress.IPv4Network(self.subnet).hosts()))


class RedisSettings(Section):
    """The state store all members share."""

    mode: Literal["container", "statefulset", "external", "none"] | None = Field(
        default=None,
        description="A container here, in the control plane cluster, one that runs, or none. Default "
        "container; without apps, none where all clusters exist.",
    )
    host: str | None = Field(
        default=None, description="statefulset, external: name or address that every member reaches."
    )
    port: Port = Field(default=6379, description="Port members reach it at.")
    namespace: DnsLabel = Field(default="default", description="statefulset: an existing namespace.")


class NamespaceSettings(Section):
    """Who makes a namespace that apps, exports or policies are in.

    In clusters that exist, adopt: made when it is not there, and used as it is when somebody made it; make:
    refused when somebody did. Everywhere, require: somebody else makes it, and in clusters that exist has.
    """

    name: DnsLabel = Field(description="Name of the namespace.")
    mode: Literal["make", "adopt", "require"] = Field(
        default="adopt",
        description="adopt: made if nobody has; make: nobody may have; require: somebody else does.",
    )
    clusters: tuple[ClusterName, ...] = Field(default=(), description="In these; default all.")


class PreviewSettings(Section):
    """What ./stack preview makes of traffic that would go wrong, also with a cluster lost."""

    without_home: Literal["ignore", "warn", "error"] = Field(
        default="warn", description="A service that a policy lets callers reach has nobody left to serve it."
    )
    over_capacity: Literal["ignore", "warn", "error"] = Field(
        default="warn", description="A cluster would get more of a service's calls than its `capacity`."
    )


class DrillSettings(Section):
    """The budget of ./stack drill: what calls may feel of a loss. A drill beyond it has failed."""

    failed_requests: Annotated[Number, Field(ge=0, le=1_000_000)] = Field(
        default=0, description="Safe requests that may fail, from the loss to the end of the drill."
    )
    slow_seconds: Annotated[float, Field(gt=0, le=60)] = Field(
        default=2, description="An answer that takes longer is a slow one."
    )
    detection_seconds: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=10,
        description="From the loss to the end of the last request that failed or was slow because of it.",
    )
    fail_back_seconds: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=240,
        description="From putting it back until it serves four fifths of its part again; the drill waits no "
        "longer.",
    )


class K3dSettings(Section):
    """The nodes of k3d clusters."""

    servers_memory: Annotated[str, Field(pattern=r"^([0-9]+[kmg])?$")] = Field(
        default="", description="Memory limit of a node, such as 4g; empty: none."
    )


class ImagesSettings(Section):
    """The images built here."""

    registry: str = Field(
        default="", description="host/path to push to, needed by existing clusters; empty: k3d import."
    )
    docker_config: str | None = Field(
        default=None,
        description="File with the login to that registry, such as ~/.docker/config.json: pods of the mesh "
        "pull with it.",
    )


class Settings(Section):
    """An environment, complete and checked."""

    clusters: Annotated[tuple[ClusterSettings, ...], Field(min_length=1)] = Field(
        description="The clusters: one control-plane, any number of members. Adding a member is one entry."
    )
    network: NetworkSettings = Field(
        default=NetworkSettings(), description="Docker network of the k3d clusters: name and fixed subnet."
    )
    bind_addresses: tuple[Address, ...] = Field(
        default=("127.0.0.1",),
        description="Host addresses that ports are published on, besides the network's gateway.",
    )
    mesh: Literal["bundled", "flomesh"] = Field(
        default="bundled", description="Who carries traffic between the clusters."
    )
    dapr: DaprSettings = Field(
        default=DaprSettings(),
        description="Dapr on the members: who installs it, version, mtls, last hop, and its resources.",
    )
    redis: RedisSettings = Field(
        default=RedisSettings(), description="The shared state store: mode, host, port and namespace."
    )
    redis_password: Password | None = Field(
        default=None,
        description="Password of an external Redis, else of its user admin, a secret. Empty: one is "
        "generated and kept as a secret in the state.",
    )
    gateway: GatewaySettings = Field(
        default=GatewaySettings(),
        description="Gateways, controllers and hub: how many, limits, logs, and where pods run.",
    )
    apps: tuple[AppSettings, ...] = Field(default=(), description="Apps that are deployed, and where.")
    namespaces: tuple[NamespaceSettings, ...] = Field(
        default=(),
        description="Who makes namespaces; those not named are made, or adopted in clusters that exist.",
    )
    exports: tuple[ExportSettings, ...] = Field(default=(), description="Services that members export.")
    paths: tuple[PathSettings, ...] = Field(
        default=(), description="Paths of the front door that are delegated to namespaces and clusters."
    )
    hosts: tuple[HostSettings, ...] = Field(
        default=(), description="Hosts that exports of others may have, by namespace and cluster."
    )
    policies: tuple[PolicySettings, ...] = Field(
        default=(), description="Global traffic policies. Empty, as in the article's start: calls stay local."
    )
    preview: PreviewSettings = Field(
        default=PreviewSettings(), description="What ./stack preview warns of, and what it refuses."
    )
    drill: DrillSettings = Field(
        default=DrillSettings(), description="What calls may feel of a loss: the budget of ./stack drill."
    )
    supply: Literal["auto", "upstream", "airgap"] = Field(
        default="auto", description="Where tools, images and charts come from; auto lets ./stack find out."
    )
    versions: Literal["current", "article"] = Field(
        default="current",
        description="Set of versions in stacks/config/versions.yaml: today's or the article's.",
    )
    k3d: K3dSettings = Field(
        alias="k3d", default=K3dSettings(), description="Nodes of k3d clusters: serversMemory."
    )
    mirror: str = Field(default="", description="Registry prefix put before every public image; empty: none.")
    images: ImagesSettings = Field(
        default=ImagesSettings(), description="Where images built here are pushed to."
    )

    @property
    def control_plane(self) -> ClusterSettings:
        """The cluster that runs the hub."""
        return next(cluster for cluster in self.clusters if cluster.role == "control-plane")

    @property
    def makes_network(self) -> bool:
        """Whether a Docker network is made: for k3d clusters, or for Redis in a container."""
        made_here = any(cluster.source == "k3d" for cluster in self.clusters)
        return made_here or self.redis.mode == "container"

    @property
    def members(self) -> tuple[ClusterSettings, ...]:
        """The clusters that join it."""
        return tuple(cluster for cluster in self.clusters if cluster.role == "member")

    @property
    def dapr_mtls(self) -> bool:
        """Whether the Dapr that is installed here has mTLS between sidecars; the article's goes without."""
        return self.versions == "current" if self.dapr.mtls is None else self.dapr.mtls

    def members_with(self, resource: OfDapr) -> tuple[str, ...]:
        """Members that a resource of Dapr is on: those it names, else all that have Dapr."""
        return resource.clusters or tuple(member.name for member in self.members if member.dapr != "none")

    def ports_of(self, cluster: str, namespace: str, service: str) -> tuple[int, ...]:
        """Ports of a Service that an app of these settings has there; empty for one of somebody else."""
        here = (app for app in self.apps if (app.namespace, app.service) == (namespace, service))
        return next((app.service_ports for app in here if cluster in app.clusters), ())

    def app_id(self, export: ExportSettings) -> str | None:
        """The app-id by which Dapr apps of other clusters call an exported service; None for none."""
        if self.mesh != "bundled":
            return None
        apps = {(app.namespace, app.service): app.app_id for app in self.apps}
        return export.app_id or apps.get((export.namespace, export.service))

    def target_key(self, target: PolicyTarget) -> str:
        """The cluster key a target means. Raises KeyError when no cluster has that name."""
        if target.cluster_key is not None:
            return target.cluster_key
        return {cluster.name: cluster.key for cluster in self.clusters}[str(target.cluster)]
