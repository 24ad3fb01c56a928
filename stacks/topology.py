"""Wires the components of an environment: order comes from data flow; what cannot flow is said there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_command as command
import pulumi_docker as docker
import pulumi_kubernetes as kubernetes
import yaml

from components import k3d_config
from components.built_image import BuiltImage, BuiltImageArgs
from components.cluster import Cluster
from components.curl_client import CurlClient, CurlClientArgs
from components.dapr import LOCAL_STORAGE_CLASS, Dapr, DaprArgs
from components.existing_cluster import ExistingCluster, ExistingClusterArgs
from components.generated_password import GeneratedPassword
from components.global_traffic_policy import GlobalTrafficPolicy, GlobalTrafficPolicyArgs
from components.image_import import ImageImport, ImageImportArgs
from components.k3d_cluster import K3dCluster, K3dClusterArgs
from components.local_network import LocalNetwork, LocalNetworkArgs
from components.node_app import NodeApp, NodeAppArgs
from components.osm_edge import mesh_namespace
from components.redis import Redis, RedisArgs
from components.redis_stateful_set import RedisStatefulSet, RedisStatefulSetArgs
from components.service_export import ServiceExport, ServiceExportArgs, export_spec
from components.state_store import StateStore, StateStoreArgs
from stacks import bundled, flomesh
from stacks.model import AppSettings, ClusterSettings, ExportSettings, Settings
from stacks.parts import Member, Shared
from stacks.supply import Supply


@dataclass(frozen=True, kw_only=True)
class Topology:
    """What an environment has become; stacks/outputs.py shows it."""

    settings: Settings
    supply: Supply
    clusters: dict[str, Cluster]
    redis_address: pulumi.Output[str]


def build(settings: Settings, supply: Supply, environment: str) -> Topology:
    """Create every resource of the environment."""
    local = pulumi.ResourceOptions(providers=[docker.Provider("docker"), command.Provider("command")])
    bundled_mesh = settings.mesh == "bundled"
    shared = Shared(
        settings=settings,
        supply=supply,
        environment=environment,
        local=local,
        network=_network(settings, environment, local),
        gateway=_image("gateway", "proxy", settings, supply, local) if bundled_mesh else None,
        nodeapp=_image("nodeapp", "apps/nodeapp", settings, supply, local),
        password=_password(settings, local),
    )
    clusters = {config.name: _member(shared, config) for config in settings.clusters}
    plane, members = clusters[settings.control_plane.name], [clusters[c.name] for c in settings.members]
    redis_address = _redis(shared, plane.cluster)
    for member in members:
        _apps(shared, member, redis_address)
    memberships = bundled.join(plane, members) if bundled_mesh else flomesh.join(plane, members)
    _exports(settings, clusters, memberships)
    _policies(settings, clusters)
    return Topology(
        settings=settings,
        supply=supply,
        clusters={name: member.cluster for name, member in clusters.items()},
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


def _cluster(shared: Shared, config: ClusterSettings) -> Cluster:
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
            node_http_port=(
                k3d_config.GATEWAY_NODE_PORT if settings.mesh == "bundled" else k3d_config.INGRESS_PORT
            ),
            memory=settings.k3d.servers_memory,
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


def _redis(shared: Shared, plane: Cluster) -> pulumi.Output[str]:
    redis, network = shared.settings.redis, shared.network
    if redis.mode == "statefulset":
        in_cluster = RedisStatefulSetArgs(
            cluster=plane,
            namespace=redis.namespace,
            image=shared.supply.redis.ref,
            host=str(redis.host),
            port=redis.port,
            password=shared.password,
        )
        return RedisStatefulSet("redis", in_cluster, plane.component()).address
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


def _import(shared: Shared, config: ClusterSettings, cluster: Cluster) -> list[pulumi.Resource]:
    if config.source != "k3d":
        return []
    runs_nodeapp = any(app.app == "nodeapp" and config.name in app.clusters for app in shared.settings.apps)
    wanted = [shared.gateway, shared.nodeapp if runs_nodeapp else None]
    images = [image for image in wanted if image is not None]
    if not images:
        return []
    return [
        ImageImport(f"{config.name}-images", ImageImportArgs(cluster=cluster, images=images), shared.local)
    ]


def _member(shared: Shared, config: ClusterSettings) -> Member:
    name, cluster = config.name, _cluster(shared, config)
    imported = _import(shared, config, cluster)
    if shared.settings.mesh == "bundled":
        mesh = bundled.install(shared, config, cluster, imported)
    else:
        mesh = flomesh.install(shared, config, cluster)
    in_osm = shared.settings.mesh == "flomesh" and config.role == "member"
    namespaces = {
        namespace: kubernetes.core.v1.Namespace(
            f"{name}-{namespace}",
            metadata=mesh_namespace(namespace) if in_osm else {"name": namespace},
            opts=pulumi.ResourceOptions(provider=cluster.provider, deleted_with=cluster.owner),
        )
        for namespace in namespaces_of(shared.settings, name)
    }
    return Member(config=config, cluster=cluster, mesh=mesh, namespaces=namespaces, imported=imported)


def _apps(shared: Shared, member: Member, redis_address: pulumi.Output[str]) -> None:
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
            _app(shared, member, app, [dapr, *member.mesh.before_pods, *member.imported, *store])


def _app(shared: Shared, member: Member, app: AppSettings, waits: Sequence[pulumi.Resource]) -> None:
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


def _exports(settings: Settings, members: dict[str, Member], memberships: Sequence[pulumi.Resource]) -> None:
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
                    provider=member.cluster.provider, depends_on=[*member.mesh.kinds, *memberships]
                ),
            )


def _policies(settings: Settings, members: dict[str, Member]) -> None:
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
            pulumi.ResourceOptions(provider=member.cluster.provider, depends_on=list(member.mesh.kinds)),
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
