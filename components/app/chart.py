"""An app that comes as a Helm chart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.cluster.cluster import Cluster


@dataclass(frozen=True, kw_only=True)
class ChartArgs:
    """`chart` is a folder, a name in `repository` or an oci:// reference; `seconds` until its pods are ready.

    `content` changes with the files of a folder, for which the provider does not look.
    """

    cluster: Cluster
    namespace: pulumi.Input[str]
    release: str
    chart: str
    version: str | None
    repository: str | None
    values: Mapping[str, Any]
    seconds: int
    content: str | None = None


class Chart(pulumi.ComponentResource):
    """Creates the release, hooks and all, and waits until its pods are ready."""

    def __init__(self, name: str, args: ChartArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:app:Chart", name, None, opts)
        repository = kubernetes.helm.v3.RepositoryOptsArgs(repo=args.repository) if args.repository else None
        kubernetes.helm.v3.Release(
            f"{name}-release",
            name=args.release,
            namespace=args.namespace,
            chart=args.chart,
            version=args.version,
            repository_opts=repository,
            values=args.values,
            timeout=args.seconds,
            description=f"chart of content {args.content}" if args.content else None,
            opts=args.cluster.child(self),
        )
        self.register_outputs({})
