"""ServiceExports and GlobalTrafficPolicies of the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi

from components.mesh.global_traffic_policy import (
    GlobalTrafficPolicy,
    GlobalTrafficPolicyArgs,
    GlobalTrafficPolicyTarget,
)
from components.mesh.request_match import HeaderMatch
from components.mesh.request_match import RequestMatch as RequestMatchArgs
from components.mesh.service_export import (
    ServiceExport,
    ServiceExportArgs,
    ServiceExportBackendRef,
    ServiceExportRewrite,
    ServiceExportRule,
    ServiceExportTimeouts,
)
from stacks.config.model import Settings
from stacks.config.traffic import (
    BackendRef,
    ExportSettings,
    PolicySettings,
    PolicyTarget,
    RequestMatch,
    Timeouts,
)
from stacks.program.prepared_cluster import ClusterMesh, PreparedCluster


def export(
    settings: Settings, clusters: Mapping[str, PreparedCluster], mesh: Mapping[str, ClusterMesh]
) -> None:
    """Create a ServiceExport per service and exporting cluster."""
    for exported in settings.exports:
        for name in exported.clusters:
            exporter = clusters[name]
            args = export_args(settings, exported, exporter.namespace(exported.namespace))
            # Joining comes first: an export created before is lost on clusters that join later (flomesh).
            waits = [*mesh[name].crds, *mesh[name].before_exports]
            ServiceExport(
                f"{name}-{exported.namespace}-{exported.service}-export", args, _in(exporter, waits)
            )


def steer(
    settings: Settings, clusters: Mapping[str, PreparedCluster], mesh: Mapping[str, ClusterMesh]
) -> None:
    """Create a GlobalTrafficPolicy per policy."""
    for policy in settings.policies:
        prepared = clusters[policy.cluster]
        args = policy_args(settings, policy, prepared.namespace(policy.namespace))
        waits = [*mesh[policy.cluster].crds, *mesh[policy.cluster].before_policies]
        GlobalTrafficPolicy(
            f"{policy.cluster}-{policy.namespace}-{policy.name}-policy", args, _in(prepared, waits)
        )


def app_ids(settings: Settings, cluster: str) -> list[str]:
    """App-ids of the services that a cluster exports, each once."""
    exports = (export for export in settings.exports if cluster in export.clusters)
    return sorted({app_id for export in exports if (app_id := settings.app_id(export))})


def _in(prepared: PreparedCluster, waits: Sequence[pulumi.Resource]) -> pulumi.ResourceOptions:
    cluster = prepared.cluster
    return pulumi.ResourceOptions.merge(cluster.component(), cluster.child(None, depends_on=waits))


def _target(settings: Settings, target: PolicyTarget) -> GlobalTrafficPolicyTarget:
    args = GlobalTrafficPolicyTarget(cluster_key=settings.target_key(target))
    if target.weight is not None:
        args["weight"] = target.weight
    if target.match is not None:
        args["match"] = _match(target.match)
    return args


def _match(said: RequestMatch) -> RequestMatchArgs:
    headers = [HeaderMatch(name=one.name, value=one.value, type=one.type) for one in said.headers]
    return RequestMatchArgs(headers=headers)


def _backend(said: BackendRef) -> ServiceExportBackendRef:
    args = ServiceExportBackendRef(name=said.name, weight=said.weight)
    if said.match is not None:
        args["match"] = _match(said.match)
    return args


def policy_args(
    settings: Settings, policy: PolicySettings, namespace: pulumi.Input[str]
) -> GlobalTrafficPolicyArgs:
    """A policy of the settings."""
    return GlobalTrafficPolicyArgs(
        namespace=namespace,
        service=policy.name,
        lb_type=policy.lb_type,
        targets=[_target(settings, target) for target in policy.targets],
        every_caller=policy.every_caller and settings.mesh == "bundled",
    )


def export_args(
    settings: Settings, export: ExportSettings, namespace: pulumi.Input[str]
) -> ServiceExportArgs:
    """An export of the settings. What equals the CRD's default is left out, as in the article."""
    args = ServiceExportArgs(
        service=export.service,
        namespace=namespace,
        rules=[
            ServiceExportRule(port_number=rule.port, path=rule.path, path_type=rule.path_type)
            for rule in export.path_rules
        ],
        service_account_name=export.service_account_name,
    )
    if not export.published:
        args["published"] = False
    if export.host is not None:
        args["host"] = export.host
    if (rewrite := export.rewrite) is not None:
        args["path_rewrite"] = ServiceExportRewrite(pattern=rewrite.from_, replacement=rewrite.to)
    if export.backend_refs:
        args["backend_refs"] = [_backend(ref) for ref in export.backend_refs]
    if export.timeouts is not None:
        args["timeouts"] = _timeouts(export.timeouts)
    if export.session_sticky:
        args["session_sticky"] = True
    if export.load_balancer != "RoundRobinLoadBalancer":
        args["load_balancer"] = export.load_balancer
    if export.target_clusters:
        args["target_clusters"] = list(export.target_clusters)
    if (app_id := settings.app_id(export)) is not None:
        args["app_id"] = app_id
        args["by_sidecar"] = settings.dapr.invoke == "sidecar"
    return args


def _timeouts(said: Timeouts) -> ServiceExportTimeouts:
    args = ServiceExportTimeouts()
    if said.request is not None:
        args["request"] = said.request
    if said.backend_request is not None:
        args["backend_request"] = said.backend_request
    return args
