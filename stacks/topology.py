"""Wires the components of an environment: order comes from data flow; what cannot flow is said there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_command as command
import pulumi_docker as docker
import pulumi_kubernetes as kubernetes
import yaml

from components import k3d_config
from components.built_image import BuiltImage, BuiltImageArgs
from components.cluster import Cluster
from components.cluster_membership import ClusterMembership, ClusterMembershipArgs
from components.crds import Crds, CrdsArgs, load_definitions
from components.curl_client import CurlClient, CurlClientArgs
from components.dapr import LOCAL_STORAGE_CLASS, Dapr, DaprArgs
from components.existing_cluster import ExistingCluster, ExistingClusterArgs
from components.gateway import NODE_PORTS, Gateway, GatewayArgs
from components.generated_password import GeneratedPassword
from components.global_traffic_policy import GlobalTrafficPolicy, GlobalTrafficPolicyArgs
from components.hub import Hub, HubArgs
from components.image_import import ImageImport, ImageImportArgs
from components.k3d_cluster import K3dCluster, K3dClusterArgs
from components.local_network import LocalNetwork, LocalNetworkArgs
from components.node_app import NodeApp, NodeAppArgs
from components.redis import Redis, RedisArgs
from components.service_export import ServiceExport, ServiceExportArgs, export_spec
from components.state_store import StateStore, StateStoreArgs
from stacks.model import AppSettings, ClusterSettings, ExportSettings, Settings
from stacks.supply import Supply

CRD_FOLDER = Path(__file__).parent.parent / "proxy" / "crds"


@dataclass(frozen=True, kw_only=True)
class Topology:
    """What an environment has become; stacks/outputs.py shows it."""

    settings: Settings
    supply: Supply
    clusters: dict[str, Cluster]
    redis_address: pulumi.Output[str]


@dataclass(frozen=True, kw_only=True)
class _Images:
    """The images built here."""

    gateway: BuiltImage
    nodeapp: BuiltImage


@dataclass(frozen=True, kw_only=True)
class _Member:
    """What later steps need to know of one cluster."""

    cluster: Cluster
    crds: Crds
    gateway: Gateway
    namespaces: dict[str, kubernetes.core.v1.Namespace]


def build(settings: Settings, supply: Supply, environment: str) -> Topology:
    """Create every resource of the environment."""
    local = pulumi.ResourceOptions(providers=[docker.Provider("docker"), command.Provider("command")])
    network = _network(settings, environment, local)
    images = _images(settings, supply, local)
    clusters = {
        cluster.name: _cluster(cluster, settings, supply, environment, network, local)
        for cluster in settings.clusters
    }
    password = _password(settings, local)
    redis_address = _redis(settings, supply, environment, network, password, local)
    definitions = load_definitions(CRD_FOLDER)

    members: dict[str, _Member] = {}
    for config in settings.clusters:
        cluster = clusters[config.name]
        imported = _import(config, cluster, settings, images, local)
        member = _mesh(config, cluster, settings, images, definitions, imported)
        members[config.name] = member
        if config.role == "member":
            _apps(config, member, settings, supply, images, imported, password, redis_address)
    memberships = _join(settings, members)
    _exports(settings, members, memberships)
    _policies(settings, members)
    return Topology(settings=settings, supply=supply, clusters=clusters, redis_address=redis_address)


def namespaces_of(settings: Settings, cluster: str) -> tuple[str, ...]:
    """Namespaces that the settings need in one cluster, in a stable order.

    NodeApp's exists on every member, as in the article: importers refer to the service by it.
    """
    is_member = any(member.name == cluster for member in settings.members)
    wanted = {app.namespace for app in settings.apps if cluster in app.clusters}
    wanted |= {app.namespace for app in settings.apps if is_member and app.app == "nodeapp"}
    wanted |= {export.namespace for export in settings.exports if cluster in export.clusters}
    wanted |= {policy.namespace for policy in settings.policies if policy.cluster == cluster}
    return tuple(sorted(wanted))


def archives_of(settings: Settings, supply: Supply, cluster: str) -> dict[str, str]:
    """Image archives the nodes of one k3d cluster import at start: Dapr on members, curl where it runs."""
    wanted = {}
    if any(member.name == cluster for member in settings.members):
        wanted["dapr"] = supply.dapr.archive
    if any(app.app == "curl" and cluster in app.clusters for app in settings.apps):
        wanted["curl"] = supply.curl.archive
    return {name: archive for name, archive in wanted.items() if archive}


def api_server(kubeconfig: str, context: str) -> str:
    """The API server of a context in the text of a kubeconfig. Raises KeyError naming what is missing."""
    document = yaml.safe_load(kubeconfig)
    contexts = {entry["name"]: entry["context"] for entry in document.get("contexts") or []}
    if context not in contexts:
        raise KeyError(f"the kubeconfig has no context {context}; it has: {', '.join(contexts) or 'none'}")
    servers = {entry["name"]: entry["cluster"]["server"] for entry in document.get("clusters") or []}
    return str(servers[contexts[context]["cluster"]])


def _network(settings: Settings, environment: str, local: pulumi.ResourceOptions) -> LocalNetwork | None:
    made_here = any(cluster.source == "k3d" for cluster in settings.clusters)
    if not made_here and settings.redis.mode != "container":
        return None
    network = settings.network
    return LocalNetwork(
        "network",
        LocalNetworkArgs(
            environment=environment, name=network.name, subnet=network.subnet, gateway=network.gateway
        ),
        local,
    )


def _images(settings: Settings, supply: Supply, local: pulumi.ResourceOptions) -> _Images:
    def built(name: str, context: str) -> BuiltImage:
        registry = settings.images.registry
        return BuiltImage(
            name, BuiltImageArgs(context=context, base=supply.python.ref, registry=registry), local
        )

    return _Images(gateway=built("gateway", "proxy"), nodeapp=built("nodeapp", "apps/nodeapp"))


def _cluster(
    config: ClusterSettings,
    settings: Settings,
    supply: Supply,
    environment: str,
    network: LocalNetwork | None,
    local: pulumi.ResourceOptions,
) -> Cluster:
    if config.source == "existing":
        kubeconfig = Path(str(config.kubeconfig)).expanduser().read_text()
        return ExistingCluster(
            config.name,
            ExistingClusterArgs(
                key=config.key,
                kubeconfig=kubeconfig,
                context=str(config.context),
                server=config.api_server or api_server(kubeconfig, str(config.context)),
                gateway_host=str(config.gateway_host),
                gateway_port=int(config.gateway_port or 0),
            ),
        ).cluster
    if network is None:
        raise ValueError("a k3d cluster needs the Docker network")
    return K3dCluster(
        config.name,
        K3dClusterArgs(
            key=config.key,
            environment=environment,
            image=supply.node.ref,
            network=network.network_name,
            gateway=settings.network.gateway,
            bind_addresses=settings.bind_addresses,
            api_port=int(config.api_port or 0),
            http_port=int(config.http_port or 0),
            archives=archives_of(settings, supply, config.name),
        ),
        local,
    ).cluster


def _password(settings: Settings, local: pulumi.ResourceOptions) -> pulumi.Output[str]:
    if settings.redis_password is not None:
        return pulumi.Output.secret(settings.redis_password.get_secret_value())
    return GeneratedPassword("redis-password", local).value


def _redis(
    settings: Settings,
    supply: Supply,
    environment: str,
    network: LocalNetwork | None,
    password: pulumi.Output[str],
    local: pulumi.ResourceOptions,
) -> pulumi.Output[str]:
    redis = settings.redis
    if redis.mode == "external" or network is None:
        return pulumi.Output.from_input(f"{redis.host}:{redis.port}")
    return Redis(
        "redis",
        RedisArgs(
            environment=environment,
            image=supply.redis.ref,
            network=network.network_name,
            addresses=tuple(dict.fromkeys([settings.network.gateway, *settings.bind_addresses])),
            port=redis.port,
            password=password,
        ),
        local,
    ).address


def _import(
    config: ClusterSettings,
    cluster: Cluster,
    settings: Settings,
    images: _Images,
    local: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """What pods with our images wait for in this cluster: nothing can flow from a node's image store."""
    if config.source != "k3d":
        return []
    wanted = [images.gateway]
    if _has(settings, "nodeapp", config.name):
        wanted.append(images.nodeapp)
    args = ImageImportArgs(cluster=cluster, images=wanted)
    return [ImageImport(f"{config.name}-images", args, local)]


def _mesh(
    config: ClusterSettings,
    cluster: Cluster,
    settings: Settings,
    images: _Images,
    definitions: Sequence[Mapping[str, Any]],
    imported: Sequence[pulumi.Resource],
) -> _Member:
    name = config.name
    crds = Crds(f"{name}-crds", CrdsArgs(cluster=cluster, definitions=definitions), cluster.component())
    # It watches the kinds from its first moment, and its pods need the image on the node.
    waits = pulumi.ResourceOptions(provider=cluster.provider, depends_on=[crds, *imported])
    if config.source == "k3d":
        node_port: int | None = k3d_config.GATEWAY_NODE_PORT
    else:
        node_port = cluster.gateway_port if cluster.gateway_port in NODE_PORTS else None
    gateway = Gateway(
        f"{name}-gateway",
        GatewayArgs(
            cluster=cluster,
            image=images.gateway.ref,
            digest=images.gateway.digest,
            replicas=settings.gateway.replicas,
            access_log=settings.gateway.access_log,
            front_door=config.role == "control-plane",
            node_port=node_port,
        ),
        waits,
    )
    if config.role == "control-plane":
        Hub(
            f"{name}-hub",
            HubArgs(
                cluster=cluster,
                namespace=gateway.namespace,
                image=images.gateway.ref,
                digest=images.gateway.digest,
            ),
            waits,
        )
    namespaces = {
        namespace: kubernetes.core.v1.Namespace(
            f"{name}-{namespace}",
            metadata={"name": namespace},
            opts=pulumi.ResourceOptions(provider=cluster.provider, deleted_with=cluster.owner),
        )
        for namespace in namespaces_of(settings, name)
    }
    return _Member(cluster=cluster, crds=crds, gateway=gateway, namespaces=namespaces)


def _apps(
    config: ClusterSettings,
    member: _Member,
    settings: Settings,
    supply: Supply,
    images: _Images,
    imported: Sequence[pulumi.Resource],
    password: pulumi.Output[str],
    redis_address: pulumi.Output[str],
) -> None:
    cluster, name = member.cluster, config.name
    dapr = Dapr(
        f"{name}-dapr",
        DaprArgs(
            cluster=cluster,
            chart=supply.dapr_chart.chart,
            chart_version=supply.dapr_chart.version,
            repository=supply.dapr_chart.repository,
            images=supply.dapr.ref,
            version=supply.dapr_version,
            mtls=settings.dapr.mtls,
            storage_class=LOCAL_STORAGE_CLASS if config.source == "k3d" else "",
        ),
        cluster.component(),
    )
    stores = {
        namespace: StateStore(
            f"{name}-{namespace}-statestore",
            StateStoreArgs(
                cluster=cluster, namespace=_name(member, namespace), address=redis_address, password=password
            ),
            # The Component kind comes with Dapr.
            pulumi.ResourceOptions(provider=cluster.provider, depends_on=[dapr]),
        )
        for namespace in sorted({app.namespace for app in settings.apps if app.app == "nodeapp"})
    }
    for app in settings.apps:
        if name in app.clusters:
            _app(app, member, supply, images, [dapr, *imported, *_of(stores, app.namespace)])


def _app(
    app: AppSettings,
    member: _Member,
    supply: Supply,
    images: _Images,
    waits: Sequence[pulumi.Resource],
) -> None:
    cluster, namespace = member.cluster, _name(member, app.namespace)
    name = f"{cluster.name}-{app.namespace}-{app.app}"
    # A pod admitted before Dapr's injector runs has no sidecar, and a sidecar reads its components once.
    options = pulumi.ResourceOptions(provider=cluster.provider, depends_on=list(waits))
    if app.app == "curl":
        CurlClient(name, CurlClientArgs(cluster=cluster, namespace=namespace, image=supply.curl.ref), options)
        return
    image = images.nodeapp
    NodeApp(
        name,
        NodeAppArgs(cluster=cluster, namespace=namespace, image=image.ref, digest=image.digest),
        options,
    )


def _join(settings: Settings, members: dict[str, _Member]) -> list[ClusterMembership]:
    plane = members[settings.control_plane.name]
    memberships = []
    for config in settings.members:
        member = members[config.name]
        args = ClusterMembershipArgs(
            member=member.cluster,
            member_namespace=member.gateway.namespace,
            control_plane=plane.cluster,
            control_plane_namespace=plane.gateway.namespace,
        )
        # The Cluster kind is the control plane's; the hub makes namespaces of imports and must not be first.
        waits = [plane.crds, *member.namespaces.values()]
        memberships.append(
            ClusterMembership(f"{config.name}-membership", args, pulumi.ResourceOptions(depends_on=waits))
        )
    return memberships


def _exports(
    settings: Settings, members: dict[str, _Member], memberships: Sequence[ClusterMembership]
) -> None:
    for export in settings.exports:
        spec = _export_spec(export)
        for name in export.clusters:
            member = members[name]
            ServiceExport(
                f"{name}-{export.namespace}-{export.service}-export",
                ServiceExportArgs(
                    cluster=member.cluster,
                    namespace=_name(member, export.namespace),
                    service=export.service,
                    spec=spec,
                ),
                # Joining comes first: an export made before is lost on clusters that join later (flomesh).
                pulumi.ResourceOptions(
                    provider=member.cluster.provider, depends_on=[member.crds, *memberships]
                ),
            )


def _policies(settings: Settings, members: dict[str, _Member]) -> None:
    for policy in settings.policies:
        member = members[policy.cluster]
        GlobalTrafficPolicy(
            f"{policy.cluster}-{policy.namespace}-{policy.name}-policy",
            GlobalTrafficPolicyArgs(
                cluster=member.cluster,
                namespace=_name(member, policy.namespace),
                service=policy.name,
                lb_type=policy.lb_type,
                targets=tuple((settings.target_key(target), target.weight) for target in policy.targets),
            ),
            # The kind has to be there.
            pulumi.ResourceOptions(provider=member.cluster.provider, depends_on=[member.crds]),
        )


def _export_spec(export: ExportSettings) -> dict[str, object]:
    rewrite = export.path_rewrite
    return export_spec(
        service_account_name=export.service_account_name,
        rules=[rule.model_dump(by_alias=True) for rule in export.rules],
        rewrite=(rewrite.from_, rewrite.to) if rewrite else None,
        session_sticky=export.session_sticky,
        load_balancer=export.load_balancer,
        target_clusters=export.target_clusters,
    )


def _has(settings: Settings, app: str, cluster: str) -> bool:
    return any(entry.app == app and cluster in entry.clusters for entry in settings.apps)


def _name(member: _Member, namespace: str) -> pulumi.Output[str]:
    name: pulumi.Output[str] = member.namespaces[namespace].metadata["name"]
    return name


def _of(stores: dict[str, StateStore], namespace: str) -> Iterable[StateStore]:
    return [stores[namespace]] if namespace in stores else []
