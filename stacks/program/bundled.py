"""The bundled mesh: one Mesh of all clusters, and the names of the cluster set in those made here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pulumi

from components.cluster import k3d_config
from components.cluster.cluster_set_dns import ClusterSetDns, ClusterSetDnsArgs
from components.image.built_image import BuiltImage
from components.mesh.mesh import Mesh
from components.mesh.mesh_args import (
    MeshArgs,
    MeshAutoscaler,
    MeshCluster,
    MeshHost,
    MeshMetrics,
    MeshMutualTls,
    MeshPath,
    MeshPods,
    MeshService,
    MeshTracing,
)
from stacks.config.gateway import GatewayServiceSettings, GatewaySettings, PodsSettings
from stacks.config.model import Settings
from stacks.program import traffic
from stacks.program.prepared_cluster import ClusterMesh, PreparedCluster
from stacks.program.shared_resources import SharedResources


def join(shared: SharedResources, clusters: Mapping[str, PreparedCluster]) -> dict[str, ClusterMesh]:
    """Create the mesh. What it is in each cluster, by name."""
    if shared.gateway is None or shared.peers_key is None:
        raise ValueError("the bundled mesh needs the gateway's image and a key for its gateways")
    settings, wanted, image = shared.settings, shared.settings.gateway, shared.gateway
    args = MeshArgs(
        image=image.ref,
        control_plane=_cluster(shared, image, clusters[settings.control_plane.name]),
        members=[_cluster(shared, image, clusters[member.name]) for member in settings.members],
        hub_replicas=wanted.hub_replicas_in(settings.control_plane.source),
        access_log=wanted.access_log,
        foreign_imports=wanted.foreign_imports,
        external_traffic_policy=wanted.external_traffic_policy,
        trusted_proxies=wanted.trusted_proxies,
        limits=_limits(wanted),
        paths=paths_of(settings),
        hosts=hosts_of(settings),
        peers_key=shared.peers_key,
        pods=_pods(wanted.pods),
        service=_service(wanted.service),
    )
    args["mutual_tls"] = MeshMutualTls(
        mode=wanted.mutual_tls or "off",
        certificate_hours=wanted.certificate_hours,
        root_days=wanted.root_days,
    )
    if metrics := wanted.metrics.model_dump(exclude_defaults=True):
        args["metrics"] = cast("MeshMetrics", metrics)
    if wanted.tracing is not None:
        args["tracing"] = MeshTracing(endpoint=wanted.tracing.endpoint, sampling=wanted.tracing.sampling)
    if wanted.log_level is not None:
        args["log_level"] = wanted.log_level
    if wanted.autoscaler is not None:
        args["autoscaler"] = MeshAutoscaler(
            max_replicas=wanted.autoscaler.max_replicas, cpu_percent=wanted.autoscaler.cpu_percent
        )
    mesh = Mesh("mesh", args)
    for name, prepared in clusters.items():
        if prepared.config.source == "k3d":
            provided = pulumi.ResourceOptions.merge(prepared.cluster.component(), shared.local)
            ClusterSetDns(f"{name}-cluster-set-dns", ClusterSetDnsArgs(cluster=prepared.cluster), provided)
    return {
        name: ClusterMesh(
            crds=[part.crds],
            namespace=part.namespace,
            before_exports=mesh.memberships,
            before_policies=[part.controller],
        )
        for name, part in mesh.parts.items()
    }


def _cluster(shared: SharedResources, image: BuiltImage, prepared: PreparedCluster) -> MeshCluster:
    config, cluster = prepared.config, prepared.cluster
    args = MeshCluster(
        name=config.name,
        region=config.region,
        zone=config.zone,
        group=config.group,
        provider=cluster.provider,
        server=cluster.server,
        server_name=cluster.server_name,
        gateway_host=cluster.gateway_host,
        gateway_port=cluster.gateway_port,
        namespaces=[prepared.namespace(name) for name in prepared.namespaces],
        image_digest=_digest(image, prepared),
        replicas=shared.settings.gateway.replicas_in(config.source),
        admission_policy=config.admission_policy,
        ends_with_provider=cluster.ends_with_provider,
    )
    if config.source == "k3d":
        args["node_port"] = k3d_config.GATEWAY_NODE_PORT
    if config.peers_port is not None:
        args["peers_port"] = config.peers_port
        if config.source == "k3d":
            args["peers_node_port"] = k3d_config.PEERS_NODE_PORT
    if (ranges := shared.settings.gateway.admin_from_in(config.source)) is not None:
        args["admin_from"] = ranges
    if config.cluster_domain is not None:
        args["cluster_domain"] = config.cluster_domain
    if config.source == "existing" and shared.docker_config is not None:
        args["docker_config"] = shared.docker_config
    if config.may_export is not None:
        args["may_export"] = sorted(config.may_export)
    if shared.dapr_token is not None and traffic.app_ids(shared.settings, config.name):
        args["dapr_token"] = shared.dapr_token
    return args


def _digest(image: BuiltImage, prepared: PreparedCluster) -> pulumi.Output[str]:
    """Known once the cluster's nodes can have the image: pods wait for it."""
    return next((imported.digest(image) for imported in prepared.imported), image.digest)


def paths_of(settings: Settings) -> list[MeshPath]:
    """Paths of the front door that are delegated."""
    return [
        MeshPath(prefix=path.prefix, namespaces=path.namespaces, clusters=path.clusters)
        for path in settings.paths
    ]


def hosts_of(settings: Settings) -> list[MeshHost]:
    """The hosts of exports, each granted where its export is, and those granted to others."""
    own = [
        MeshHost(host=export.host, namespaces=[export.namespace], clusters=export.clusters)
        for export in settings.exports
        if export.host is not None
    ]
    granted = [
        MeshHost(host=host.host, namespaces=host.namespaces, clusters=host.clusters)
        for host in settings.hosts
    ]
    return own + granted


def _pods(pods: PodsSettings) -> MeshPods:
    """What is said of pods; nothing that is empty."""
    said = pods.model_dump(exclude_defaults=True)
    return cast("MeshPods", said)


def _service(service: GatewayServiceSettings) -> MeshService:
    said = service.model_dump(exclude_defaults=True)
    return cast("MeshService", said)


def _limits(gateway: GatewaySettings) -> dict[str, float]:
    """Limits that the environment sets to something else than the gateway's own."""
    names = ("first_byte_seconds", "stall_seconds")
    given = {name: float(getattr(gateway, name)) for name in names}
    changed = {
        name: value for name, value in given.items() if value != GatewaySettings.model_fields[name].default
    }
    return {**gateway.limits, **changed}
