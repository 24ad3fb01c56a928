"""The flomesh mesh: FSM and osm-edge, as the article installs them."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from components.cluster.cluster import Cluster
from components.flomesh.fsm import Fsm, FsmArgs
from components.flomesh.fsm_membership import FsmMembership, FsmMembershipArgs
from components.flomesh.mesh_config import OBJECT, MeshConfig, MeshConfigArgs
from components.flomesh.osm_edge import NAMESPACE, OsmEdge, OsmEdgeArgs
from components.mesh.established import Established, EstablishedArgs
from stacks.config.model import ClusterSettings
from stacks.program.prepared_cluster import Mesh, PreparedCluster
from stacks.program.shared_resources import SharedResources

CRDS = tuple(f"{name}.flomesh.io" for name in ("clusters", "serviceexports", "globaltrafficpolicies"))
MESH_CONFIGS = "meshconfigs.config.openservicemesh.io"


def install(shared: SharedResources, config: ClusterSettings, cluster: Cluster) -> Mesh:
    """Create FSM, and osm-edge if the cluster is a member."""
    fsm = _fsm(shared, config.name, cluster)
    if config.role == "control-plane":
        return Mesh(crds=[fsm])
    mesh_config = _osm_edge(shared, config.name, cluster, fsm)
    return Mesh(crds=[fsm], before_pods=[mesh_config])


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


def join(plane: PreparedCluster, members: Sequence[PreparedCluster]) -> list[pulumi.Resource]:
    """A membership per member; FSM has to run in both clusters before."""
    return [
        FsmMembership(
            f"{member.config.name}-membership",
            FsmMembershipArgs(member=member.cluster, control_plane=plane.cluster),
            pulumi.ResourceOptions(
                provider=plane.cluster.provider, depends_on=[*plane.mesh.crds, *member.mesh.crds]
            ),
        )
        for member in members
    ]
