"""Wires the components of an environment: order comes from data flow; what cannot flow is said there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from components.cluster.cluster import Cluster
from stacks.config.kubeconfigs import Access
from stacks.config.model import Settings
from stacks.config.supply import Supply
from stacks.program import apps, bundled, clusters, flomesh, traffic
from stacks.program import shared as common


@dataclass(frozen=True, kw_only=True)
class Topology:
    """What an environment has become; stacks/program/outputs.py shows it."""

    settings: Settings
    supply: Supply
    clusters: dict[str, Cluster]
    redis_address: pulumi.Output[str]


def build(settings: Settings, supply: Supply, access: Mapping[str, Access], environment: str) -> Topology:
    """Create every resource of the environment. `access` is how to reach the clusters that exist."""
    shared = common.share(settings, supply, access, environment)
    made = {config.name: clusters.member(shared, config) for config in settings.clusters}
    plane, members = made[settings.control_plane.name], [made[c.name] for c in settings.members]
    redis_address = common.redis(shared, plane.cluster)
    for member in members:
        apps.run(shared, member, redis_address)
    mesh = bundled if settings.mesh == "bundled" else flomesh
    memberships = mesh.join(plane, members)
    traffic.export(settings, made, memberships)
    traffic.steer(settings, made)
    return Topology(
        settings=settings,
        supply=supply,
        clusters={name: member.cluster for name, member in made.items()},
        redis_address=redis_address,
    )
