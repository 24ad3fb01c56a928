"""Wires the components of an environment: order comes from data flow; what cannot flow is said there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
class _Shared:
    """What every cluster's part of the graph draws on.

    `local` holds the providers of what runs on this machine: Docker objects and commands.
    """

    settings: Settings
    supply: Supply
    environment: str
    local: pulumi.ResourceOptions
    network: LocalNetwork | None
    gateway: BuiltImage
    nodeapp: BuiltImage
    password: pulumi.Output[str]
    definitions: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class _Member:
    """What later steps need to know of one cluster.

    `imported` is what pods with our images wait for: nothing can flow from a node's image store.
    """

    config: ClusterSettings
    cluster: Cluster
    crds: Crds
    gateway: Gateway
    namespaces: dict[str, kubernetes.core.v1.Namespace]
    imported: Sequence[pulumi.Resource]

    def namespace(self, name: str) -> pulumi.Output[str]:
        """A namespace of this cluster, known once it is there."""
        known: pulumi.Output[str] = self.namespaces[name].metadata["name"]
        return known


def build(settings: Settings, supply: Supply, environment: str) -> Topology:
    """Create every resource of the environment."""
    local = pulumi.ResourceOptions(providers=[docker.Provider("docker"), command.Provider("command")])
    shared = _Shared(
        settings=settings,
        supply=supply,
        environment=environment,
        local=local,
        network=_network(settings, environment, local),
        gateway=_image("gateway", "proxy", settings, supply, local),
        nodeapp=_image("nodeapp", "apps/nodeapp", settings, supply, local),
        password=_password(settings, local),
        definitions=load_definitions(CRD_FOLDER),
    )
    redis_address = _redis(shared)
    members = {config.name: _mesh(shared, config, _cluster(shared, config)) for config in settings.clusters}
    for config in settings.members:
        _apps(shared, members[config.name], redis_address)
    memberships = _join(settings, members)
    _exports(settings, members, memberships)
    _policies(settings, members)
    return Topology(
        settings=settings,
        supply=supply,
        clusters={name: member.cluster for name, member in members.items()},
        redis_address=redis_address,
    )


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


def _image(
    name: str, context: str, settings: Settings, supply: Supply, local: pulumi.ResourceOptions
) -> BuiltImage:
    args = BuiltImageArgs(context=context, base=supply.python.ref, registry=settings.images.registry)
    return BuiltImage(name, args, local)


def _cluster(shared: _Shared, config: ClusterSettings) -> Cluster:
    if config.source == "existing":
        return _existing(config)
    if shared.network is None:
        raise ValueError("a k3d cluster needs the Docker network")
    settings = shared.settings
    return K3dCluster(
        config.name,
        K3dClusterArgs(
            key=config.key,
            environment=shared.environment,
            image=shared.supply.node.ref,
            network=shared.network.network_name,
            gateway=settings.network.gateway,
            bind_addresses=settings.bind_addresses,
            api_port=int(config.api_port or 0),
            http_port=int(config.http_port or 0),
            archives=archives_of(settings, shared.supply, config.name),
        ),
        shared.local,
    ).cluster


def _existing(config: ClusterSettings) -> Cluster:
    kubeconfig, context = Path(str(config.kubeconfig)).expanduser().read_text(), str(config.context)
    return ExistingCluster(
        config.name,
        ExistingClusterArgs(
            key=config.key,
            kubeconfig=kubeconfig,
            context=context,
            server=config.api_server or api_server(kubeconfig, context),
            gateway_host=str(config.gateway_host),
            gateway_port=int(config.gateway_port or 0),
        ),
    ).cluster


def _password(settings: Settings, local: pulumi.ResourceOptions) -> pulumi.Output[str]:
    if settings.redis_password is not None:
        return pulumi.Output.secret(settings.redis_password.get_secret_value())
    return GeneratedPassword("redis-password", local).value


def _redis(shared: _Shared) -> pulumi.Output[str]:
    redis, network = shared.settings.redis, shared.network
    if redis.mode == "external" or network is None:
        return pulumi.Output.from_input(f"{redis.host}:{redis.port}")
    args = RedisArgs(
        environment=shared.environment,
        image=shared.supply.redis.ref,
        network=network.network_name,
        addresses=tuple(dict.fromkeys([shared.settings.network.gateway, *shared.settings.bind_addresses])),
        port=redis.port,
        password=shared.password,
    )
    return Redis("redis", args, shared.local).address


def _import(shared: _Shared, config: ClusterSettings, cluster: Cluster) -> list[pulumi.Resource]:
    if config.source != "k3d":
        return []
    runs_nodeapp = any(app.app == "nodeapp" and config.name in app.clusters for app in shared.settings.apps)
    images = [shared.gateway, shared.nodeapp] if runs_nodeapp else [shared.gateway]
    return [
        ImageImport(f"{config.name}-images", ImageImportArgs(cluster=cluster, images=images), shared.local)
    ]


def _mesh(shared: _Shared, config: ClusterSettings, cluster: Cluster) -> _Member:
    name, provider = config.name, cluster.provider
    imported = _import(shared, config, cluster)
    crds = Crds(
        f"{name}-crds", CrdsArgs(cluster=cluster, definitions=shared.definitions), cluster.component()
    )
    # It watches the kinds from its first moment, and its pods need the image on the node.
    waits = pulumi.ResourceOptions(provider=provider, depends_on=[crds, *imported])
    gateway = Gateway(
        f"{name}-gateway",
        GatewayArgs(
            cluster=cluster,
            image=shared.gateway.ref,
            digest=shared.gateway.digest,
            replicas=shared.settings.gateway.replicas,
            access_log=shared.settings.gateway.access_log,
            front_door=config.role == "control-plane",
            node_port=_node_port(config, cluster),
        ),
        waits,
    )
    if config.role == "control-plane":
        hub = HubArgs(
            cluster=cluster,
            namespace=gateway.namespace,
            image=shared.gateway.ref,
            digest=shared.gateway.digest,
        )
        Hub(f"{name}-hub", hub, waits)
    namespaces = {
        namespace: kubernetes.core.v1.Namespace(
            f"{name}-{namespace}",
            metadata={"name": namespace},
            opts=pulumi.ResourceOptions(provider=provider, deleted_with=cluster.owner),
        )
        for namespace in namespaces_of(shared.settings, name)
    }
    return _Member(
        config=config, cluster=cluster, crds=crds, gateway=gateway, namespaces=namespaces, imported=imported
    )


def _node_port(config: ClusterSettings, cluster: Cluster) -> int | None:
    if config.source == "k3d":
        return k3d_config.GATEWAY_NODE_PORT
    return cluster.gateway_port if cluster.gateway_port in NODE_PORTS else None


def _apps(shared: _Shared, member: _Member, redis_address: pulumi.Output[str]) -> None:
    cluster, supply = member.cluster, shared.supply
    dapr = Dapr(
        f"{cluster.name}-dapr",
        DaprArgs(
            cluster=cluster,
            chart=supply.dapr_chart.chart,
            chart_version=supply.dapr_chart.version,
            repository=supply.dapr_chart.repository,
            images=supply.dapr.ref,
            version=supply.dapr_version,
            mtls=shared.settings.dapr.mtls,
            storage_class=LOCAL_STORAGE_CLASS if member.config.source == "k3d" else "",
        ),
        cluster.component(),
    )
    apps = shared.settings.apps
    stores = {
        namespace: StateStore(
            f"{cluster.name}-{namespace}-statestore",
            StateStoreArgs(
                cluster=cluster,
                namespace=member.namespace(namespace),
                address=redis_address,
                password=shared.password,
            ),
            # The Component kind comes with Dapr.
            pulumi.ResourceOptions(provider=cluster.provider, depends_on=[dapr]),
        )
        for namespace in sorted({app.namespace for app in apps if app.app == "nodeapp"})
    }
    for app in apps:
        if cluster.name in app.clusters:
            store = [stores[app.namespace]] if app.namespace in stores else []
            _app(shared, member, app, [dapr, *member.imported, *store])


def _app(shared: _Shared, member: _Member, app: AppSettings, waits: Sequence[pulumi.Resource]) -> None:
    cluster, namespace = member.cluster, member.namespace(app.namespace)
    name = f"{cluster.name}-{app.namespace}-{app.app}"
    # A pod admitted before Dapr's injector runs has no sidecar, and a sidecar reads its components once.
    options = pulumi.ResourceOptions(provider=cluster.provider, depends_on=list(waits))
    if app.app == "curl":
        image = shared.supply.curl.ref
        CurlClient(name, CurlClientArgs(cluster=cluster, namespace=namespace, image=image), options)
        return
    built = shared.nodeapp
    args = NodeAppArgs(cluster=cluster, namespace=namespace, image=built.ref, digest=built.digest)
    NodeApp(name, args, options)


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
                    namespace=member.namespace(export.namespace),
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
                namespace=member.namespace(policy.namespace),
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
