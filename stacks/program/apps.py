"""Dapr, its state stores and the demo apps, on a member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi

from components.app import node_app
from components.app.app import App, AppArgs
from components.app.curl_client import CurlClient, CurlClientArgs
from components.app.node_app import NodeApp, NodeAppArgs
from components.dapr.dapr import LOCAL_STORAGE_CLASS, Dapr, DaprArgs
from components.dapr.state_store import StateStore, StateStoreArgs
from components.mesh.dapr_sidecars import DaprSidecars, DaprSidecarsArgs
from stacks.config.apps import AppSettings
from stacks.program import pods, state, traffic
from stacks.program.prepared_cluster import ClusterMesh, PreparedCluster
from stacks.program.shared_resources import SharedResources


def run(
    shared: SharedResources,
    member: PreparedCluster,
    mesh: ClusterMesh,
    redis_address: pulumi.Output[str] | None,
) -> None:
    """Create Dapr, a state store in each namespace of NodeApp, and the apps of this member."""
    cluster = member.cluster
    dapr = [_dapr(shared, member)] if member.config.dapr == "install" else []
    _sidecars(shared, member, mesh, dapr)
    apps = shared.settings.apps
    stores = _stores(shared, member, redis_address, dapr)
    for app in apps:
        if cluster.name in app.clusters:
            read: list[Dapr | StateStore] = [
                *dapr,
                *([stores[app.namespace]] if app.namespace in stores else []),
            ]
            restarts = {key: value for one in read for key, value in one.restarts_sidecars.items()}
            _app(shared, member, app, restarts, [*read, *mesh.before_pods, *member.imported])


def _dapr(shared: SharedResources, member: PreparedCluster) -> Dapr:
    cluster, supply, wanted = member.cluster, shared.supply, shared.settings.dapr
    args = DaprArgs(
        cluster=cluster,
        chart=supply.dapr_chart.chart,
        chart_version=supply.dapr_chart.version,
        repository=supply.dapr_chart.repository,
        images=shared.image("dapr", member.config),
        version=supply.dapr_version,
        issuer=shared.trust_root.issuer(cluster.name) if shared.trust_root is not None else None,
        storage_class=LOCAL_STORAGE_CLASS if member.config.source == "k3d" else "",
        restricted=shared.settings.mesh == "bundled",
        namespace=wanted.namespace,
        high_availability=wanted.high_availability,
        values=wanted.values,
    )
    return Dapr(f"{cluster.name}-dapr", args, cluster.component())


def _stores(
    shared: SharedResources,
    member: PreparedCluster,
    address: pulumi.Output[str] | None,
    dapr: Sequence[Dapr],
) -> dict[str, StateStore]:
    """A state store for each namespace of NodeApp, where there are both Dapr and Redis."""
    cluster, apps, store_settings = member.cluster, shared.settings.apps, shared.settings.dapr.state_store
    if address is None or shared.password is None or member.config.dapr == "none":
        return {}
    user = shared.state_users.get(cluster.name)
    return {
        namespace: StateStore(
            f"{cluster.name}-{namespace}-statestore",
            StateStoreArgs(
                cluster=cluster,
                namespace=member.namespace(namespace),
                address=address,
                app_id=node_app.NAME,
                username=user.name if user is not None else None,
                password=user.password if user is not None else shared.password,
                password_id=user.password_id if user is not None else "",
                database=state.database(shared.settings, member.config),
                actors=store_settings.actors,
            ),
            # The Component CRD comes with Dapr.
            pulumi.ResourceOptions(provider=cluster.provider, depends_on=list(dapr)),
        )
        for namespace in sorted({app.namespace for app in apps if app.app == "nodeapp"})
    }


def _sidecars(
    shared: SharedResources, member: PreparedCluster, mesh: ClusterMesh, dapr: Sequence[Dapr]
) -> None:
    """Those that the member's gateways ask for the services it exports, if they are to."""
    app_ids = traffic.app_ids(shared.settings, member.cluster.name)
    if shared.dapr_token is None or shared.gateway is None or mesh.namespace is None or not app_ids:
        return
    args = DaprSidecarsArgs(
        cluster=member.cluster,
        namespace=mesh.namespace,
        image=shared.gateway.ref,
        replicas=shared.settings.gateway.replicas_in(member.config.source),
        app_ids=app_ids,
        restarts_with={key: value for one in dapr for key, value in one.restarts_sidecars.items()},
    )
    # A pod admitted before Dapr's injector runs has no sidecar.
    waits = pulumi.ResourceOptions(provider=member.cluster.provider, depends_on=[*dapr, *member.imported])
    DaprSidecars(f"{member.cluster.name}-dapr-sidecars", args, waits)


def _app(
    shared: SharedResources,
    member: PreparedCluster,
    app: AppSettings,
    restarts: Mapping[str, pulumi.Input[str]],
    waits: Sequence[pulumi.Resource],
) -> None:
    cluster, namespace = member.cluster, member.namespace(app.namespace)
    name = f"{cluster.name}-{app.namespace}-{app.service}"
    # A pod admitted before Dapr's injector runs has no sidecar; before 1.18 a sidecar reads components once.
    options = pulumi.ResourceOptions(provider=cluster.provider, depends_on=list(waits))
    if app.app is None:
        App(name, _own(shared, member, app, restarts), options)
        return
    token = shared.settings.versions == "article"  # whose sidecars have no other
    if app.app == "curl":
        caller = CurlClientArgs(
            cluster=cluster,
            namespace=namespace,
            image=shared.image("curl", member.config),
            restarts_with=restarts,
            token=token,
        )
        CurlClient(name, caller, options)
        return
    if shared.nodeapp is None:
        raise ValueError("NodeApp needs its image")
    args = NodeAppArgs(
        cluster=cluster,
        namespace=namespace,
        image=shared.nodeapp.ref,
        digest=shared.nodeapp.digest,
        restarts_with=restarts,
        token=token,
    )
    NodeApp(name, args, options)


def _own(
    shared: SharedResources,
    member: PreparedCluster,
    app: AppSettings,
    restarts: Mapping[str, pulumi.Input[str]],
) -> AppArgs:
    """An app of the user's, as it is on this member."""
    pod = app.on(member.config.name)
    image = pods.Image(ref=pod.image)
    if pod.build is not None:
        image = pods.Image(ref=shared.built[pod.build].ref, digest=shared.built[pod.build].digest)
    return AppArgs(
        cluster=member.cluster,
        name=app.service,
        namespace=member.namespace(app.namespace),
        deployment=pods.deployment_spec(
            app,
            member.config,
            image,
            restarts if app.has_sidecar else {},
            old_dapr=shared.settings.versions == "article",
        ),
        service=pods.service_spec(app),
        secrets=pods.secrets(pod),
    )
