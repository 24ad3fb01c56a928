"""The topology of an environment: its components, ordered by data flow or said dependencies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from components.cluster.cluster import Cluster
from stacks.config.kubeconfigs import Kubeconfig
from stacks.config.model import Settings
from stacks.config.present import Answers
from stacks.config.supply import Supply
from stacks.program import apps, bundled, clusters, flomesh, shared_resources, traffic


@dataclass(frozen=True, kw_only=True)
class Topology:
    """What outputs.py shows of a topology that was built."""

    settings: Settings
    supply: Supply
    clusters: dict[str, Cluster]
    redis_address: pulumi.Output[str] | None


def build(
    settings: Settings,
    supply: Supply,
    kubeconfigs: Mapping[str, Kubeconfig],
    environment: str,
    present: Answers = Answers(),  # noqa: B008 - it is frozen
) -> Topology:
    """Create every resource of the environment.

    `kubeconfigs` are those of clusters that exist, `present` what these have already.
    """
    shared = shared_resources.create(settings, supply, kubeconfigs, present, environment)
    prepared = {config.name: clusters.prepare(shared, config) for config in settings.clusters}
    plane = prepared[settings.control_plane.name]
    members = [prepared[config.name] for config in settings.members]
    mesh = (bundled if settings.mesh == "bundled" else flomesh).join(shared, prepared)
    redis_address = shared_resources.redis(shared, plane.cluster)
    for member in members:
        apps.run(shared, member, mesh[member.config.name], redis_address)
    traffic.export(settings, prepared, mesh)
    traffic.steer(settings, prepared, mesh)
    return Topology(
        settings=settings,
        supply=supply,
        clusters={name: one.cluster for name, one in prepared.items()},
        redis_address=redis_address,
    )
