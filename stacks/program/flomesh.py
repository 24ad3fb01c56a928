"""The flomesh mesh: FSM and osm-edge, as the article installs them."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from components.cluster.cluster import Cluster
from components.flomesh.established import Established, EstablishedArgs
from components.flomesh.fsm import Fsm, FsmArgs
from components.flomesh.fsm_membership import FsmMembership, FsmMembershipArgs
from components.flomesh.mesh_config import OBJECT, MeshConfig, MeshConfigArgs
from components.flomesh.osm_edge import NAMESPACE, OsmEdge, OsmEdgeArgs
from stacks.program.prepared_cluster import ClusterMesh, PreparedCluster
from stacks.program.shared_resources import SharedResources

CRDS = tuple(f"{name}.flomesh.io" for name in ("clusters", "serviceexports", "globaltrafficpolicies"))
MESH_CONFIGS = "meshconfigs.config.openservicemesh.io"


def join(shared: SharedResources, clusters: Mapping[str, PreparedCluster]) -> dict[str, ClusterMesh]:
    """Create FSM in every cluster, osm-edge and a membership for each member. What there is in each, by name.

    FSM has to run in both clusters before one joins the other.
    """
    members = {name: one.cluster for name, one in clusters.items() if one.config.role == "member"}
    (plane,) = (one.cluster for one in clusters.values() if one.config.role == "control-plane")
    fsm = {name: _fsm(shared, name, one.cluster) for name, one in clusters.items()}
    mesh_configs = {name: _osm_edge(shared, name, member, fsm[name]) for name, member in members.items()}
    memberships = [
        FsmMembership(
            f"{name}-membership",
            FsmMembershipArgs(member=member, control_plane=plane),
            pulumi.ResourceOptions(provider=plane.provider, depends_on=[fsm[plane.name], fsm[name]]),
        )
        for name, member in members.items()
    ]
    return {
        name: ClusterMesh(
            crds=[fsm[name]],
            before_exports=memberships,
            before_pods=[mesh_configs[name]] if name in mesh_configs else [],
        )
        for name in clusters
    }


def _fsm(shared: SharedResources, name: str, cluster: Cluster) -> Established:
    chart = shared.supply.mesh_charts["fsm"]
    fsm = Fsm(
        f"{name}-fsm",
        FsmArgs(cluster=cluster, chart=chart.chart, version=chart.version, repository=chart.repository),
        cluster.component(),
    )
    args = EstablishedArgs(cluster=cluster, crds=CRDS, release=fsm.release)
    return Established(f"{name}-fsm-kinds", args, shared.local)


def _osm_edge(shared: SharedResources, name: str, cluster: Cluster, fsm: pulumi.Resource) -> MeshConfig:
    chart = shared.supply.mesh_charts["osm-edge"]
    osm_edge = OsmEdge(
        f"{name}-osm-edge",
        OsmEdgeArgs(cluster=cluster, chart=chart.chart, version=chart.version, repository=chart.repository),
        # Both bring the same CRDs and the last one to start wins: FSM goes first, as in the article.
        pulumi.ResourceOptions(provider=cluster.provider, depends_on=[fsm]),
    )
    established = Established(
        f"{name}-osm-edge-kinds",
        EstablishedArgs(
            cluster=cluster,
            crds=[MESH_CONFIGS],
            instance=(NAMESPACE, f"{MESH_CONFIGS}/{OBJECT}"),
            release=osm_edge.release,
        ),
        shared.local,
    )
    return MeshConfig(
        f"{name}-osm-edge-mesh-config",
        MeshConfigArgs(cluster=cluster, namespace=osm_edge.namespace, redis_port=shared.settings.redis.port),
        pulumi.ResourceOptions(provider=cluster.provider, depends_on=[established]),
    )
