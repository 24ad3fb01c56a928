"""The bundled mesh: CRDs, gateway and controller in every cluster, the hub on the control plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi

from components.cluster import k3d_config
from components.cluster.cluster import NODE_PORTS, Cluster
from components.mesh.cluster_membership import ClusterMembership, ClusterMembershipArgs
from components.mesh.cluster_set_dns import ClusterSetDns, ClusterSetDnsArgs
from components.mesh.controller import Controller, ControllerArgs
from components.mesh.crds import Crds, CrdsArgs, load_definitions
from components.mesh.gateway import Gateway, GatewayArgs
from components.mesh.hub import Hub, HubArgs
from components.mesh.import_guard import ImportGuard, ImportGuardArgs, load_policy
from components.mesh.placement import Pods, Published
from stacks.config.gateway import GatewayServiceSettings, GatewaySettings, PodsSettings
from stacks.config.model import ClusterSettings, Settings
from stacks.program import traffic
from stacks.program.prepared_cluster import Mesh, PreparedCluster
from stacks.program.shared_resources import SharedResources

PROXY = Path(__file__).parents[2] / "proxy"
CRD_FOLDER = PROXY / "crds"
IMPORT_POLICY = PROXY / "admission" / "serviceimports.yaml"


def install(
    shared: SharedResources, config: ClusterSettings, cluster: Cluster, imported: Sequence[pulumi.Resource]
) -> Mesh:
    """Create CRDs, gateway and controller of a cluster, and the hub if it is the control plane."""
    if shared.gateway is None or shared.peers_key is None:
        raise ValueError("the bundled mesh needs the gateway's image and a key for its gateways")
    name, image, wanted = config.name, shared.gateway, shared.settings.gateway
    pods = _pods(wanted.pods)
    definitions = load_definitions(CRD_FOLDER)
    crds = Crds(f"{name}-crds", CrdsArgs(cluster=cluster, definitions=definitions), cluster.component())
    # It watches the CRDs from its first moment, and its pods need the image on the node.
    waits = pulumi.ResourceOptions(provider=cluster.provider, depends_on=[crds, *imported])
    front_door = config.role == "control-plane"
    gateway = Gateway(
        f"{name}-gateway",
        GatewayArgs(
            cluster=cluster,
            image=image.ref,
            digest=image.digest,
            replicas=wanted.replicas_in(config.source),
            access_log=wanted.access_log,
            foreign_imports=wanted.foreign_imports,
            traffic_policy=wanted.external_traffic_policy,
            trusted_proxies=wanted.trusted_proxies,
            limits=_limits(wanted),
            front_door=front_door,
            node_port=_node_port(config, cluster),
            peers_key=shared.peers_key,
            dapr_token=shared.dapr_token if traffic.app_ids(shared.settings, name) else None,
            pods=pods,
            published=_published(wanted.service),
            most_replicas=wanted.autoscaler.max_replicas if wanted.autoscaler else None,
            cpu_percent=wanted.autoscaler.cpu_percent if wanted.autoscaler else 0,
            cluster_domain=config.cluster_domain,
            log_level=wanted.log_level,
            docker_config=shared.docker_config if config.source == "existing" else None,
        ),
        waits,
    )
    controller = Controller(
        f"{name}-controller",
        ControllerArgs(
            cluster=cluster,
            namespace=gateway.namespace,
            image=image.ref,
            digest=image.digest,
            replicas=wanted.replicas_in(config.source),
            front_door=front_door,
            foreign_imports=wanted.foreign_imports,
            admission=config.admission_policy,
            pods=replace(pods, pull_secret=gateway.pull_secret),
            cluster_domain=config.cluster_domain,
            log_level=wanted.log_level,
        ),
        waits,
    )
    if config.admission_policy:
        policy, binding = load_policy(IMPORT_POLICY)
        guard = ImportGuardArgs(cluster=cluster, policy=policy, binding=binding)
        ImportGuard(f"{name}-import-guard", guard, cluster.component())
    else:
        pulumi.log.info(f"{name} takes no admission policy: a thief of its controller's token is less bound")
    if config.source == "k3d":
        provided = pulumi.ResourceOptions.merge(cluster.component(), shared.local)
        ClusterSetDns(f"{name}-cluster-set-dns", ClusterSetDnsArgs(cluster=cluster), provided)
    if config.role == "control-plane":
        args = HubArgs(
            cluster=cluster,
            namespace=gateway.namespace,
            image=image.ref,
            digest=image.digest,
            replicas=wanted.hub_replicas_in(config.source),
            paths=_paths(shared.settings),
            admission=config.admission_policy,
            pods=replace(pods, pull_secret=gateway.pull_secret),
            log_level=wanted.log_level,
        )
        hub = Hub(f"{name}-hub", args, waits)
        return Mesh(
            crds=[crds],
            namespace=gateway.namespace,
            hub=hub.deployment,
            controller=controller.deployment,
        )
    return Mesh(crds=[crds], namespace=gateway.namespace, controller=controller.deployment)


def join(plane: PreparedCluster, members: Sequence[PreparedCluster]) -> list[pulumi.Resource]:
    """A membership per member."""
    return [_membership(plane, member) for member in members]


def _membership(plane: PreparedCluster, member: PreparedCluster) -> ClusterMembership:
    if plane.mesh.namespace is None or member.mesh.namespace is None or plane.mesh.hub is None:
        raise ValueError("the bundled mesh has a namespace in every cluster, and a hub on the control plane")
    args = ClusterMembershipArgs(
        member=member.cluster,
        member_namespace=member.mesh.namespace,
        control_plane=plane.cluster,
        control_plane_namespace=plane.mesh.namespace,
        hub=plane.mesh.hub,
        may_export=member.config.may_export,
        admission=member.config.admission_policy,
    )
    # The Cluster CRD is the control plane's; the hub imports only into namespaces that are there.
    waits = [*plane.mesh.crds, *plane.made, *member.made]
    return ClusterMembership(
        f"{member.config.name}-membership", args, pulumi.ResourceOptions(depends_on=waits)
    )


def _node_port(config: ClusterSettings, cluster: Cluster) -> int | None:
    if config.source == "k3d":
        return k3d_config.GATEWAY_NODE_PORT
    return cluster.gateway_port if cluster.gateway_port in NODE_PORTS else None


def _paths(settings: Settings) -> list[dict[str, Any]]:
    """The delegated paths with cluster keys, as the hub takes them."""
    keys = {cluster.name: cluster.key for cluster in settings.clusters}
    return [
        {
            "prefix": grant.prefix,
            "namespaces": list(grant.namespaces),
            "clusters": [keys[name] for name in grant.clusters],
        }
        for grant in settings.paths
    ]


def _pods(pods: PodsSettings) -> Pods:
    return Pods(
        node_selector=pods.node_selector,
        tolerations=pods.tolerations,
        affinity=pods.affinity,
        spread=pods.topology_spread_constraints,
        resources=pods.resources,
        priority_class=pods.priority_class_name,
        labels=pods.labels,
        annotations=pods.annotations,
    )


def _published(service: GatewayServiceSettings) -> Published:
    return Published(
        annotations=service.annotations,
        load_balancer_class=service.load_balancer_class,
        load_balancer_address=service.load_balancer_address,
        ip_family_policy=service.ip_family_policy or "",
        ip_families=service.ip_families,
    )


def _limits(gateway: GatewaySettings) -> dict[str, float]:
    """Limits that the environment sets to something else than the gateway's own."""
    names = ("first_byte_seconds", "stall_seconds")
    given = {name: float(getattr(gateway, name)) for name in names}
    changed = {
        name: value for name, value in given.items() if value != GatewaySettings.model_fields[name].default
    }
    return {**gateway.limits, **changed}
