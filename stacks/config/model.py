"""The settings of an environment as frozen, typed values.

Field names are the keys of Pulumi.<env>.yaml in camel case; descriptions are what Pulumi.yaml shows.
Only rules about one value live here; rules between values are in stacks/config/checks.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic.alias_generators import to_camel


def _network(text: str) -> str:
    network = ipaddress.IPv4Network(text)
    if network.prefixlen > 28:
        raise ValueError("too small for the clusters' nodes; use /28 or wider")
    return text


def _inside(text: str) -> str:
    if ipaddress.IPv4Network(text).prefixlen > 24:
        raise ValueError("too small for a node; use /24 or wider")
    return text


def _range(text: str) -> str:
    ipaddress.ip_network(text)
    return text


def _address(text: str) -> str:
    ipaddress.IPv4Address(text)
    return text


def _password(secret: SecretStr) -> SecretStr | None:
    text = secret.get_secret_value()
    if not text:
        return None  # Pulumi cannot declare an optional secret: an empty default says "not set"
    if len(text) < 8 or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("needs 8 or more printable ASCII characters without spaces")
    return secret


DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
# k3d prefixes its containers with "k3d-" and appends "-server-0": 32 keeps every host name within 63.
ClusterName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=32)]
HostName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$",
        max_length=253,
    ),
]
KeyPart = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=63)]
ClusterKey = Annotated[str, Field(pattern=r"^[^/\s]+/[^/\s]+/[^/\s]+/[^/\s]+$")]
Version = Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+")]
# What FSM's admission and ours take: a DNS name or an IPv4 address.
Host = Annotated[
    str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", max_length=253)
]
Url = Annotated[str, Field(pattern=r"^https://[^/\s]+/?$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Subnet = Annotated[str, AfterValidator(_network)]
InsideRange = Annotated[str, AfterValidator(_inside)]
Address = Annotated[str, AfterValidator(_address)]
AddressRange = Annotated[str, AfterValidator(_range)]
Password = Annotated[SecretStr, AfterValidator(_password)]


class Section(BaseModel):
    """Frozen, closed, written in camel case."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


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
    api_server: Url | None = Field(
        default=None, description="existing: API URL seen from the hub; default the context's."
    )
    may_export: tuple[DnsLabel, ...] | None = Field(
        default=None,
        description="member: namespaces that others may import from it; default any they have, too.",
    )

    admission_policy: bool = Field(
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


class StateStoreSettings(Section):
    """The Dapr state store of the demo apps, which all members share unless each has a Redis database."""

    actors: bool = Field(
        default=False, description="Keep actors and workflows in it, too; members must not share them."
    )
    per_cluster: bool = Field(
        default=False,
        description="A Redis database of its own for each member, by its place among them: 1 is the first's; "
        "0 where Redis is external.",
    )


class DaprSettings(Section):
    """The Dapr control plane of each member."""

    version: Version | None = Field(
        default=None, description="Chart and runtime version; default that of the supply."
    )
    mtls: bool = Field(
        default=False,
        description="mTLS between Dapr sidecars, one root for all members; the article switches it off.",
    )
    state_store: StateStoreSettings = Field(
        default=StateStoreSettings(), description="The state store of the demo apps."
    )
    invoke: Literal["app", "sidecar"] = Field(
        default="app",
        description="How requests of other clusters reach the demo apps: at their port, or through a Dapr "
        "sidecar (bundled mesh).",
    )


class RedisSettings(Section):
    """The state store all members share."""

    mode: Literal["container", "statefulset", "external"] = Field(
        default="container", description="A container here, in the control plane cluster, or one that runs."
    )
    host: str | None = Field(
        default=None, description="statefulset, external: name or address that every member reaches."
    )
    port: Port = Field(default=6379, description="Port members reach it at.")
    namespace: DnsLabel = Field(default="default", description="statefulset: an existing namespace.")


class GatewaySettings(Section):
    """The gateway of every cluster."""

    replicas: Annotated[int, Field(ge=1, le=10)] = Field(default=1, description="Pods per cluster.")
    access_log: bool = Field(default=True, description="One JSON line per request.")
    trusted_proxies: tuple[AddressRange, ...] = Field(
        default=(), description="Networks of proxies in front whose X-Forwarded-* fields are believed."
    )
    first_byte_seconds: Annotated[int, Field(ge=1, le=86_400)] = Field(
        default=60,
        description="A service that has not begun to answer by then is a 504; long polls want more.",
    )
    stall_seconds: Annotated[int, Field(ge=1, le=86_400)] = Field(
        default=60, description="Quiet time after which an answer or an upgraded connection is cut off."
    )
    external_traffic_policy: Literal["Cluster", "Local"] = Field(
        default="Cluster",
        description="Of the Service that publishes it. Local keeps the address of clients; nodes without a "
        "gateway refuse.",
    )
    foreign_imports: bool = Field(
        default=False, description="ServiceImports count that the hub did not make, whoever can write them."
    )
    hub_replicas: Annotated[int, Field(ge=1, le=5)] = Field(
        default=1, description="Pods of the hub; of several one writes, by election."
    )


class AppSettings(Section):
    """A demo app and where it runs."""

    app: Literal["nodeapp", "curl"] = Field(description="nodeapp answers, curl asks.")
    clusters: Annotated[tuple[ClusterName, ...], Field(min_length=1)] = Field(
        description="Members it runs on."
    )
    namespace: DnsLabel = Field(description="Namespace it runs in.")


class PathRewrite(Section):
    """A rewrite of the request target on the exporter, all matches."""

    from_: str = Field(alias="from", min_length=1, description="Regular expression.")
    to: str = Field(description="Replacement; $1 is the first group.")


class ExportRule(Section):
    """One published path of an export."""

    port_number: Port = Field(description="Port of the Service.")
    path: Annotated[str, Field(pattern=r"^/[^\s?#]*$")] = Field(description="Path on the exporter's gateway.")
    path_type: Literal["Exact", "Prefix"] = Field(default="Prefix", description="How the path is compared.")


class ExportSettings(Section):
    """A ServiceExport on each of its clusters."""

    service: DnsLabel = Field(description="Service to export.")
    namespace: DnsLabel = Field(description="Its namespace.")
    clusters: Annotated[tuple[ClusterName, ...], Field(min_length=1)] = Field(
        description="Exporting members."
    )
    rules: Annotated[tuple[ExportRule, ...], Field(min_length=1)] = Field(description="Published paths.")
    host: HostName | None = Field(
        default=None, description="Host under which alone they are published, such as shop.example.com."
    )
    path_rewrite: PathRewrite | None = Field(
        default=None, description="Rewrite before the Service sees the request."
    )
    service_account_name: str = Field(default="*", description="Calling ServiceAccount allowed; * is any.")
    session_sticky: bool = Field(default=False, description="Keep a caller on one pod.")
    load_balancer: Literal["RoundRobinLoadBalancer", "HashingLoadBalancer", "LeastWorkLoadBalancer"] = Field(
        default="RoundRobinLoadBalancer", description="Choice among the exporter's pods."
    )
    target_clusters: tuple[ClusterKey, ...] = Field(
        default=(), description="Cluster keys that may import; empty is all."
    )


class PathSettings(Section):
    """A path of the front door that is delegated: nobody else gets one at or inside it."""

    prefix: Annotated[str, Field(pattern=r"^/[^\s?#]*$")] = Field(description="Path; / is the root alone.")
    namespaces: Annotated[tuple[DnsLabel, ...], Field(min_length=1)] = Field(
        description="Namespaces whose exports may have it."
    )
    clusters: tuple[ClusterName, ...] = Field(default=(), description="From these clusters; empty is any.")


class PolicyTarget(Section):
    """A cluster that traffic may go to."""

    cluster: ClusterName | None = Field(default=None, description="Name of an exporter of this environment.")
    cluster_key: ClusterKey | None = Field(default=None, description="Or its key, region/zone/group/name.")
    weight: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        default=None, description="0 to 1000000; 0 drains; default 100."
    )


class PolicySettings(Section):
    """A GlobalTrafficPolicy: where calls of one cluster to one service may go."""

    cluster: ClusterName = Field(description="Cluster whose callers it is for.")
    namespace: DnsLabel = Field(description="Namespace of the service.")
    name: DnsLabel = Field(description="Name of the service.")
    lb_type: Literal["Locality", "FailOver", "ActiveActive"] = Field(
        default="Locality", description="Kind of policy."
    )
    targets: tuple[PolicyTarget, ...] = Field(default=(), description="Where to; empty is every exporter.")
    every_caller: bool = Field(
        default=True,
        description="It holds for callers of a local Service's own name too: its endpoints become the "
        "gateways (bundled mesh).",
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
        default=DaprSettings(), description="Dapr on every member: version, mtls, state store and last hop."
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
        description="Gateways: replicas, access log, trusted proxies, limits of time, externalTrafficPolicy, "
        "imports of others, replicas of the hub.",
    )
    apps: tuple[AppSettings, ...] = Field(default=(), description="Demo apps and where they run.")
    exports: tuple[ExportSettings, ...] = Field(default=(), description="Services that members export.")
    paths: tuple[PathSettings, ...] = Field(
        default=(), description="Paths of the front door that are delegated to namespaces and clusters."
    )
    policies: tuple[PolicySettings, ...] = Field(
        default=(), description="Global traffic policies. Empty, as in the article's start: calls stay local."
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
    def members(self) -> tuple[ClusterSettings, ...]:
        """The clusters that join it."""
        return tuple(cluster for cluster in self.clusters if cluster.role == "member")

    def target_key(self, target: PolicyTarget) -> str:
        """The cluster key a target means. Raises KeyError when no cluster has that name."""
        if target.cluster_key is not None:
            return target.cluster_key
        return {cluster.name: cluster.key for cluster in self.clusters}[str(target.cluster)]
