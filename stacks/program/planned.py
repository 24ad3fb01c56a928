"""What the program would make for traffic, by cluster, without an engine.

`python -m stacks.program.planned FILE` reads a stack's file and prints as JSON: `objects` by cluster
(namespaces, Services of apps, exports, policies), and the `hosts` and `paths` that the hub is told. It is for
who hands them to the gateway as files.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi

from components.mesh import dapr_sidecars
from components.mesh.global_traffic_policy import policy_object
from components.mesh.mesh_reading import granted, granted_host
from components.mesh.service_export import export_object
from components.mesh.workload import SYSTEM_NAMESPACE
from stacks.config import documents
from stacks.config.loading import parse_stack_file
from stacks.config.model import ClusterSettings, Settings
from stacks.program import bundled, pods, traffic
from stacks.program.clusters import namespaces_of


async def planned(settings: Settings) -> dict[str, Any]:
    """All of it."""
    keys = {cluster.name: cluster.key for cluster in settings.clusters}
    return {
        "objects": {
            cluster.name: [
                await pulumi.Output.from_input(one).future() for one in _objects(settings, cluster)
            ]
            for cluster in settings.clusters
        },
        "paths": [granted(path, keys) for path in bundled.paths_of(settings)],
        "hosts": [granted_host(host, keys) for host in bundled.hosts_of(settings)],
    }


def _objects(settings: Settings, cluster: ClusterSettings) -> Iterator[dict[str, Any]]:
    for name in namespaces_of(settings, cluster.name):
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    for app in settings.apps:
        pod, spec = app.on(cluster.name), pods.service_spec(app)
        is_ours = pod.chart is None and pod.manifests is None
        if cluster.name in app.clusters and is_ours and spec is not None:
            yield _service(app.namespace, app.service, spec)
    if settings.dapr.invoke == "sidecar" and traffic.app_ids(settings, cluster.name):
        yield _service(SYSTEM_NAMESPACE, dapr_sidecars.NAME, dapr_sidecars.service_spec())
    for export in settings.exports:
        if cluster.name in export.clusters:
            yield export_object(traffic.export_args(settings, export, export.namespace))
    for policy in settings.policies:
        if policy.cluster == cluster.name:
            yield policy_object(traffic.policy_args(settings, policy, policy.namespace))


def _service(namespace: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


if __name__ == "__main__":
    document = documents.load(Path(sys.argv[1]).read_text())
    json.dump(asyncio.run(planned(parse_stack_file(document))), sys.stdout)
