"""What a person, and ./stack, learns from a finished `up`."""

from __future__ import annotations

from typing import Any

import pulumi

from stacks.topology import Topology


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
                "kubectl": kubectl_hint(environment, config.name),
            }
            for config in settings.clusters
        },
        "kubeconfigs": pulumi.Output.secret({name: cluster.kubeconfig for name, cluster in clusters.items()}),
        "demo": {
            f"{name}/{export.service}": f"{clusters[name].http}{export.rules[0].path}"
            for export in settings.exports
            for name in export.clusters
        },
        "redis": topology.redis_address,
        "supply": topology.supply.mode,
        "versions": dict(topology.supply.versions),
    }


def kubectl_hint(environment: str, cluster: str) -> str:
    """A command that reaches the cluster with its own kubeconfig and leaves ~/.kube/config alone."""
    return (
        f"kubectl --kubeconfig <(pulumi stack output --stack {environment} --show-secrets --json kubeconfigs"
        f" | python3 -c 'import json,sys; print(json.load(sys.stdin)[\"{cluster}\"])') get pods -A"
    )
