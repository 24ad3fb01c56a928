"""A ServiceExport: a service that other clusters may import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.cluster.cluster import Cluster
from components.mesh.app_ids import APP_ID, INVOKE

HOST = "multicluster.flomesh.io/host"
"""Annotation of a ServiceExport: the host under which alone it is published."""


@dataclass(frozen=True, kw_only=True)
class ServiceExportArgs:
    """`spec` as export_spec returns it. `host`: under which alone it is published, if any. `app_id` is that
    of the Dapr app behind the Service.

    `by_sidecar`: requests of other clusters reach it through a Dapr sidecar.
    """

    cluster: Cluster
    namespace: pulumi.Input[str]
    service: str
    spec: Mapping[str, Any]
    host: str | None = None
    app_id: str | None = None
    by_sidecar: bool = False


def export_spec(
    *,
    service_account_name: str,
    rules: Sequence[Mapping[str, Any]],
    rewrite: tuple[str, str] | None,
    session_sticky: bool,
    load_balancer: str,
    target_clusters: Sequence[str],
) -> dict[str, Any]:
    """Spec of the ServiceExport; what equals the CRD's default is left out, as in the article."""
    spec: dict[str, Any] = {"serviceAccountName": service_account_name}
    if rewrite is not None:
        spec["pathRewrite"] = {"from": rewrite[0], "to": rewrite[1]}
    spec["rules"] = [dict(rule) for rule in rules]
    if session_sticky:
        spec["sessionSticky"] = True
    if load_balancer != "RoundRobinLoadBalancer":
        spec["loadBalancer"] = load_balancer
    if target_clusters:
        spec["targetClusters"] = list(target_clusters)
    return spec


class ServiceExport(pulumi.ComponentResource):
    """Creates the ServiceExport, named as its Service."""

    def __init__(
        self, name: str, args: ServiceExportArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("multicluster-dapr:mesh:ServiceExport", name, None, opts)
        said = {HOST: args.host} if args.host else {}
        if args.app_id:
            said |= {APP_ID: args.app_id, **(INVOKE if args.by_sidecar else {})}
        annotations = {"annotations": said} if said else {}
        kubernetes.apiextensions.CustomResource(
            f"{name}-object",
            api_version="flomesh.io/v1alpha1",
            kind="ServiceExport",
            metadata={"name": args.service, "namespace": args.namespace, **annotations},
            spec=dict(args.spec),
            opts=args.cluster.child(self),
        )
        self.register_outputs({})
