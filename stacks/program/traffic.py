"""ServiceExports and GlobalTrafficPolicies of the settings."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from components.mesh.global_traffic_policy import GlobalTrafficPolicy, GlobalTrafficPolicyArgs
from components.mesh.service_export import ServiceExport, ServiceExportArgs, export_spec
from stacks.config.model import Settings
from stacks.config.traffic import ExportSettings
from stacks.program.prepared_cluster import PreparedCluster


def export(
    settings: Settings, clusters: dict[str, PreparedCluster], memberships: Sequence[pulumi.Resource]
) -> None:
    """Create a ServiceExport per service and exporting cluster."""
    for exported in settings.exports:
        spec = _export_spec(exported)
        for name in exported.clusters:
            exporter = clusters[name]
            ServiceExport(
                f"{name}-{exported.namespace}-{exported.service}-export",
                ServiceExportArgs(
                    cluster=exporter.cluster,
                    namespace=exporter.namespace(exported.namespace),
                    service=exported.service,
                    spec=spec,
                    host=exported.host,
                    app_id=settings.app_id(exported),
                    by_sidecar=settings.dapr.invoke == "sidecar",
                ),
                # Joining comes first: an export created before is lost on clusters that join later (flomesh).
                pulumi.ResourceOptions(
                    provider=exporter.cluster.provider, depends_on=[*exporter.mesh.crds, *memberships]
                ),
            )


def steer(settings: Settings, clusters: dict[str, PreparedCluster]) -> None:
    """Create a GlobalTrafficPolicy per policy."""
    for policy in settings.policies:
        prepared = clusters[policy.cluster]
        GlobalTrafficPolicy(
            f"{policy.cluster}-{policy.namespace}-{policy.name}-policy",
            GlobalTrafficPolicyArgs(
                cluster=prepared.cluster,
                namespace=prepared.namespace(policy.namespace),
                service=policy.name,
                lb_type=policy.lb_type,
                targets=tuple((settings.target_key(target), target.weight) for target in policy.targets),
                every_caller=policy.every_caller and settings.mesh == "bundled",
            ),
            pulumi.ResourceOptions(provider=prepared.cluster.provider, depends_on=_before_policies(prepared)),
        )


def app_ids(settings: Settings, cluster: str) -> list[str]:
    """App-ids of the services that a cluster exports, each once."""
    exports = (export for export in settings.exports if cluster in export.clusters)
    return sorted({app_id for export in exports if (app_id := settings.app_id(export))})


def _before_policies(prepared: PreparedCluster) -> list[pulumi.Resource]:
    """The CRD, and the controller: a deleted policy waits until that has taken back what it wrote for it."""
    controller = prepared.mesh.controller
    return [*prepared.mesh.crds, *([controller] if controller is not None else [])]


def _export_spec(export: ExportSettings) -> dict[str, object]:
    rewrite = export.rewrite
    return export_spec(
        service_account_name=export.service_account_name,
        rules=[
            {"portNumber": rule.port, "path": rule.path, "pathType": rule.path_type}
            for rule in export.published
        ],
        rewrite=(rewrite.from_, rewrite.to) if rewrite else None,
        session_sticky=export.session_sticky,
        load_balancer=export.load_balancer,
        target_clusters=export.target_clusters,
    )
