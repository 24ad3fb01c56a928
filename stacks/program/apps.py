"""Dapr, its resources and the apps, on a member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi

from components.app.app import App, AppArgs
from components.dapr.dapr import LOCAL_STORAGE_CLASS, Dapr, DaprArgs
from components.mesh.dapr_sidecars import DaprSidecars, DaprSidecarsArgs
from stacks.config.apps import AppSettings
from stacks.config.pods import PodSettings
from stacks.program import dapr_resources, packaged, pods, traffic
from stacks.program.prepared_cluster import ClusterMesh, PreparedCluster
from stacks.program.shared_resources import SharedResources


def run(
    shared: SharedResources,
    member: PreparedCluster,
    mesh: ClusterMesh,
    redis_address: pulumi.Output[str] | None,
) -> None:
    """Create Dapr, its resources and the apps of this member."""
    cluster = member.cluster
    dapr = [_dapr(shared, member)] if member.config.dapr == "install" else []
    _sidecars(shared, member, mesh, dapr)
    made = dapr_resources.create(shared, member, dapr)
    for app in shared.settings.apps:
        if cluster.name not in app.clusters:
            continue
        read = [
            dapr_resources.store(shared, member, app, redis_address, dapr), dapr_resources.read_by(app, made)
        ]  # fmt: skip
        restarts: dict[str, pulumi.Input[str]] = {}
        for one in dapr:
            restarts |= one.restarts_sidecars
        for what in read:
            restarts |= what.restarts
        resources = [resource for what in read for resource in what.resources]
        _app(shared, member, app, restarts, [*dapr, *resources, *mesh.before_pods, *member.imported])


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
        mtls=shared.settings.dapr_mtls,
        storage_class=LOCAL_STORAGE_CLASS if member.config.source == "k3d" else "",
        restricted=shared.settings.mesh == "bundled",
        namespace=wanted.namespace,
        high_availability=wanted.high_availability,
        values=wanted.values,
    )
    return Dapr(f"{cluster.name}-dapr", args, cluster.component())


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
    pod = app.on(member.config.name)
    if pod.chart is not None:
        packaged.chart(member, app, pod.chart, name, options)
        return
    if pod.manifests is not None:
        packaged.manifests(member, app, pod.manifests, name, options)
        return
    args = AppArgs(
        cluster=cluster,
        name=app.service,
        namespace=namespace,
        labels=app.labels_of_pods,
        deployment=pods.deployment_spec(
            app,
            member.config,
            _image(shared, member, pod),
            restarts if app.has_sidecar else {},
            old_dapr=shared.settings.versions == "article",
        ),
        service=pods.service_spec(app),
        account=pods.account(pod),
        secrets=pods.secrets(pod),
    )
    App(name, args, options)


def _image(shared: SharedResources, member: PreparedCluster, pod: PodSettings) -> pods.Image:
    if pod.build is not None:
        return pods.Image(ref=shared.built[pod.build].ref, digest=shared.built[pod.build].digest)
    if pod.supplied is not None:
        return pods.Image(ref=shared.image(pod.supplied, member.config))
    return pods.Image(ref=pod.image)
