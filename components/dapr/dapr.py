"""The Dapr control plane, by its official chart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi

from components import chart
from components.cluster.cluster import Cluster

NAMESPACE = "dapr-system"
# The class k3s provides; the chart's scheduler always asks for volumes.
LOCAL_STORAGE_CLASS = "local-path"


@dataclass(frozen=True, kw_only=True)
class DaprArgs:
    """`chart` is a folder or a name in `repository`; `images` the registry path of Dapr's images.

    `storage_class` empty means the cluster's default class.
    """

    cluster: Cluster
    chart: str
    chart_version: str
    repository: str | None
    images: pulumi.Input[str]
    version: str
    mtls: bool
    storage_class: str


def dapr_values(*, images: Any, version: str, mtls: bool, storage_class: str) -> dict[str, Any]:
    """Values of the chart: where images come from, the article's mTLS choice, storage of the scheduler."""
    values: dict[str, Any] = {
        "global": {
            "registry": images,
            "tag": version,
            "imagePullPolicy": "IfNotPresent",
            "mtls": {"enabled": mtls},
        },
    }
    if _has_scheduler(version):
        values["dapr_scheduler"] = {"cluster": {"storageClassName": storage_class}}
    return values


def _has_scheduler(version: str) -> bool:
    # Dapr 1.14 brought the scheduler; the article's 1.9 has none.
    major, minor = version.split(".")[:2]
    return (int(major), int(minor)) >= (1, 14)


class Dapr(pulumi.ComponentResource):
    """Creates the namespace and the Helm release, and waits until its pods are ready."""

    def __init__(self, name: str, args: DaprArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:dapr:Dapr", name, None, opts)
        chart.install(
            name,
            self,
            cluster=args.cluster,
            namespace=NAMESPACE,
            release="dapr",
            chart=args.chart,
            version=args.chart_version,
            repository=args.repository,
            values=dapr_values(
                images=args.images, version=args.version, mtls=args.mtls, storage_class=args.storage_class
            ),
            seconds=600,
        )
        self.register_outputs({})
