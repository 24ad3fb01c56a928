"""The flomesh mesh: FSM and osm-edge, as the article installs them."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from components.cluster import Cluster
from components.fsm import Fsm, FsmArgs
from components.fsm_membership import FsmMembership, FsmMembershipArgs
from components.osm_edge import OsmEdge, OsmEdgeArgs
from stacks.model import ClusterSettings
from stacks.parts import Member, Mesh, Shared


def install(shared: Shared, config: ClusterSettings, cluster: Cluster) -> Mesh:
    """FSM in every cluster, osm-edge in members."""
    charts = shared.supply.mesh_charts
    chart = charts["fsm"]
    fsm = Fsm(
        f"{config.name}-fsm",
        FsmArgs(cluster=cluster, chart=chart.chart, version=chart.version, repository=chart.repository),
        cluster.component(),
    )
    if config.role == "control-plane":
        return Mesh(kinds=[fsm])
    chart = charts["osm-edge"]
    osm_edge = OsmEdge(
        f"{config.name}-osm-edge",
        OsmEdgeArgs(
            cluster=cluster,
            chart=chart.chart,
            version=chart.version,
            repository=chart.repository,
            redis_port=shared.settings.redis.port,
        ),
        # Both bring the same kinds and the last one to start wins: FSM goes first, as in the article.
        pulumi.ResourceOptions(provider=cluster.provider, depends_on=[fsm]),
    )
    return Mesh(kinds=[fsm, osm_edge], before_pods=[osm_edge])


def join(plane: Member, members: Sequence[Member]) -> list[pulumi.Resource]:
    """A membership per member; FSM has to run in both clusters before."""
    return [
        FsmMembership(
            f"{member.config.name}-membership",
            FsmMembershipArgs(member=member.cluster, control_plane=plane.cluster),
            pulumi.ResourceOptions(
                provider=plane.cluster.provider, depends_on=[*plane.mesh.kinds, *member.mesh.kinds]
            ),
        )
        for member in members
    ]
