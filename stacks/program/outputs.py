"""The outputs of the Pulumi stack, for people and for ./stack."""

from __future__ import annotations

from typing import Any

import pulumi

from stacks.config.model import ClusterSettings, Settings
from stacks.program import foretold
from stacks.program.topology import Topology


def outputs(topology: Topology, environment: str) -> dict[str, Any]:
    """Stack outputs by name. Kubeconfigs are secrets; everything else is plain."""
    settings, clusters = topology.settings, topology.clusters
    return {
        "clusters": {
            config.name: {
                "role": config.role,
                "key": config.key,
                "api": clusters[config.name].server,
                "http": clusters[config.name].http,
                "kubectl": kubectl_hint(config),
            }
            for config in settings.clusters
        },
        "kubeconfigs": pulumi.Output.secret({name: cluster.kubeconfig for name, cluster in clusters.items()}),
        "demo": {
            f"{name}/{export.namespace}/{export.service}": f"{clusters[name].http}{export.path_rules[0].path}"
            for export in settings.exports
            if export.published
            for name in (*_front_door(settings), *export.clusters)
        },
        **({"redis": topology.redis_address} if topology.redis_address is not None else {}),
        **(
            {"traffic": pulumi.Output.from_input(foretold.traffic(settings, environment))}
            if settings.mesh == "bundled"
            else {}
        ),
        "supply": {"mode": topology.supply.mode, "from": dict(topology.supply.origins)},
        "versions": dict(topology.supply.versions),
    }


def _front_door(settings: Settings) -> tuple[str, ...]:
    """The cluster whose gateway reaches every exporter: the bundled mesh has one on the control plane."""
    return (settings.control_plane.name,) if settings.mesh == "bundled" else ()


def kubectl_hint(config: ClusterSettings) -> str:
    """A command that reaches the cluster and leaves ~/.kube/config alone."""
    if config.source == "existing":
        return f"kubectl --kubeconfig {config.kubeconfig} --context {config.context} get pods -A"
    return f"KUBECONFIG=$(k3d kubeconfig write {config.name}) kubectl get pods -A"
