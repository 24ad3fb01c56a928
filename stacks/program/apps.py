"""Dapr, its state stores and the demo apps, on a member."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from components.app.curl_client import CurlClient, CurlClientArgs
from components.app.node_app import NodeApp, NodeAppArgs
from components.dapr.dapr import LOCAL_STORAGE_CLASS, Dapr, DaprArgs
from components.dapr.state_store import StateStore, StateStoreArgs
from stacks.config.model import AppSettings
from stacks.program.prepared_cluster import PreparedCluster
from stacks.program.shared_resources import SharedResources


def run(shared: SharedResources, member: PreparedCluster, redis_address: pulumi.Output[str]) -> None:
    """Create Dapr, a state store in each namespace of NodeApp, and the apps of this member."""
    cluster, supply = member.cluster, shared.supply
    dapr = Dapr(
        f"{cluster.name}-dapr",
        DaprArgs(
            cluster=cluster,
            chart=supply.dapr_chart.chart,
            chart_version=supply.dapr_chart.version,
            repository=supply.dapr_chart.repository,
            images=shared.image("dapr", member.config),
            version=supply.dapr_version,
            mtls=shared.settings.dapr.mtls,
            storage_class=LOCAL_STORAGE_CLASS if member.config.source == "k3d" else "",
        ),
        cluster.component(),
    )
    apps = shared.settings.apps
    stores = {
        namespace: StateStore(
            f"{cluster.name}-{namespace}-statestore",
            StateStoreArgs(
                cluster=cluster,
                namespace=member.namespace(namespace),
                address=redis_address,
                password=shared.password,
            ),
            # The Component CRD comes with Dapr.
            pulumi.ResourceOptions(provider=cluster.provider, depends_on=[dapr]),
        )
        for namespace in sorted({app.namespace for app in apps if app.app == "nodeapp"})
    }
    for app in apps:
        if cluster.name in app.clusters:
            store = [stores[app.namespace]] if app.namespace in stores else []
            _app(shared, member, app, [dapr, *member.mesh.before_pods, *member.imported, *store])


def _app(
    shared: SharedResources, member: PreparedCluster, app: AppSettings, waits: Sequence[pulumi.Resource]
) -> None:
    cluster, namespace = member.cluster, member.namespace(app.namespace)
    name = f"{cluster.name}-{app.namespace}-{app.app}"
    # A pod admitted before Dapr's injector runs has no sidecar, and a sidecar reads its components once.
    options = pulumi.ResourceOptions(provider=cluster.provider, depends_on=list(waits))
    if app.app == "curl":
        image = shared.image("curl", member.config)
        CurlClient(name, CurlClientArgs(cluster=cluster, namespace=namespace, image=image), options)
        return
    built = shared.nodeapp
    args = NodeAppArgs(cluster=cluster, namespace=namespace, image=built.ref, digest=built.digest)
    NodeApp(name, args, options)
