"""Clusters, created here or existing, each with its images and namespaces."""

from __future__ import annotations

from typing import Any

from components.cluster import k3d_config
from components.cluster.cluster import Cluster
from components.cluster.existing_cluster import ExistingCluster, ExistingClusterArgs
from components.cluster.k3d_cluster import K3dCluster, K3dClusterArgs
from components.flomesh.osm_edge import mesh_namespace
from components.image.image_import import ImageImport, ImageImportArgs
from components.mesh.app_ids import CALLERS
from components.pod_security import OF_APPS
from stacks.config.defaults import default_peers_port
from stacks.config.model import ClusterSettings, Settings
from stacks.config.supply import Supply
from stacks.program import namespaces
from stacks.program.prepared_cluster import PreparedCluster
from stacks.program.shared_resources import SharedResources


def prepare(shared: SharedResources, config: ClusterSettings) -> PreparedCluster:
    """Create the cluster, or its provider if it exists, and put images and namespaces in."""
    name, cluster = config.name, _cluster(shared, config)
    imported = _import(shared, config, cluster)
    made = {
        namespace: namespaces.namespace(
            cluster,
            config,
            _namespace(shared.settings, config, namespace),
            mode=namespaces.mode_of(shared.settings, name, namespace),
            environment=shared.environment,
            present=shared.present.found.get(name),
        )
        for namespace in namespaces_of(shared.settings, name)
    }
    return PreparedCluster(config=config, cluster=cluster, namespaces=made, imported=imported)


def namespaces_of(settings: Settings, cluster: str) -> tuple[str, ...]:
    """Namespaces that the settings need in one cluster, in a stable order.

    Those of exports exist on every member, as in the article: importers refer to the service by it.
    """
    is_member = any(member.name == cluster for member in settings.members)
    wanted = {app.namespace for app in settings.apps if cluster in app.clusters}
    wanted |= {one.namespace for _, one in settings.dapr.resources if cluster in settings.members_with(one)}
    # Our hub imports everywhere, and only into namespaces that are there.
    if is_member or settings.mesh == "bundled":
        wanted |= {export.namespace for export in settings.exports}
    wanted |= {policy.namespace for policy in settings.policies if policy.cluster == cluster}
    return tuple(sorted(wanted))


def _namespace(settings: Settings, config: ClusterSettings, name: str) -> dict[str, Any]:
    """Metadata of a namespace. Those with Dapr apps have callers."""
    if settings.mesh == "flomesh":
        return mesh_namespace(name) if config.role == "member" else {"name": name}
    has_apps = any(
        app.namespace == name and config.name in app.clusters and app.has_sidecar for app in settings.apps
    )
    return {"name": name, "labels": {**OF_APPS, **(CALLERS if has_apps else {})}}


def folders_of(settings: Settings, cluster: str) -> list[str]:
    """Folders of the images that are built for a cluster's apps, each once."""
    pods = (app.on(cluster) for app in settings.apps if cluster in app.clusters)
    return list(dict.fromkeys(pod.build for pod in pods if pod.build is not None))


def archives_of(settings: Settings, supply: Supply, cluster: str) -> dict[str, str]:
    """Image archives the nodes of one k3d cluster import at start: Dapr on members, curl where it runs."""
    wanted = {}
    if any(member.name == cluster and member.dapr == "install" for member in settings.members):
        wanted["dapr"] = supply.dapr.archive
    if any(app.on(cluster).supplied == "curl" for app in settings.apps if cluster in app.clusters):
        wanted["curl"] = supply.curl.archive
    return {name: archive for name, archive in wanted.items() if archive}


def _cluster(shared: SharedResources, config: ClusterSettings) -> Cluster:
    if config.source == "existing":
        return _existing(shared, config)
    if shared.network is None:
        raise ValueError("a k3d cluster needs the Docker network")
    settings = shared.settings
    return K3dCluster(
        config.name,
        K3dClusterArgs(
            key=config.key,
            network=shared.network.network_name,
            config=k3d_config.K3dConfig(
                name=config.name,
                environment=shared.environment,
                image=shared.supply.node.ref,
                gateway=settings.network.gateway,
                bind_addresses=settings.bind_addresses,
                api_port=int(config.api_port or 0),
                http_port=int(config.http_port or 0),
                archives=archives_of(settings, shared.supply, config.name),
                node_http_port=(
                    k3d_config.GATEWAY_NODE_PORT if settings.mesh == "bundled" else k3d_config.INGRESS_PORT
                ),
                memory=settings.k3d.servers_memory,
                pod_cidr=config.pod_cidr,
                service_cidr=config.service_cidr,
                peers_port=config.peers_port,
                may_lack_peers_port=config.peers_port == default_peers_port(config),
            ),
        ),
        shared.local,
    ).cluster


def _existing(shared: SharedResources, config: ClusterSettings) -> Cluster:
    kubeconfig = shared.kubeconfigs[config.name]
    return ExistingCluster(
        config.name,
        ExistingClusterArgs(
            key=config.key,
            kubeconfig=kubeconfig.text,
            context=str(config.context),
            server=config.api_server or kubeconfig.server,
            # It is that of the context's server; another URL has its own name.
            server_name="" if config.api_server else kubeconfig.server_name,
            gateway_host=str(config.gateway_host),
            gateway_port=int(config.gateway_port or 0),
            peers_port=config.peers_port,
        ),
    ).cluster


def _import(shared: SharedResources, config: ClusterSettings, cluster: Cluster) -> list[ImageImport]:
    if config.source != "k3d":
        return []
    images = [shared.gateway] if shared.gateway is not None else []
    images += [shared.built[folder] for folder in folders_of(shared.settings, config.name)]
    if not images:
        return []
    return [
        ImageImport(f"{config.name}-images", ImageImportArgs(cluster=cluster, images=images), shared.local)
    ]
