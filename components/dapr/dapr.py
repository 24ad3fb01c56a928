"""The Dapr control plane, by its official chart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi

from components import chart
from components.cluster.cluster import Cluster
from components.dapr.certificates import Issuer
from components.pod_security import OF_APPS

NAMESPACE = "dapr-system"
# The class k3s provides; the chart's scheduler always asks for volumes.
LOCAL_STORAGE_CLASS = "local-path"
ROOT_LABEL = "multicluster-dapr/trust-root"
MTLS_ANNOTATION = "multicluster-dapr/mtls"
# How often Dapr's operator looks for pods that ask for a sidecar and have none: they were admitted, after a
# restart of their node for instance, before the injector answered.
HEALED_WITHIN = "1m"


@dataclass(frozen=True, kw_only=True)
class DaprArgs:
    """`chart` is a folder or a name in `repository`; `images` the registry path of Dapr's images.

    `issuer` is what Sentry signs with; without one it makes a root of its own. `mtls` is between sidecars:
    with Dapr's own parts they speak TLS in any case. `storage_class` empty means the cluster's default class.
    `restricted` gives sidecars what Kubernetes' `restricted` standard asks for, and holds the pods of its own
    namespace to `baseline`. `values` of the chart win over the program's.
    """

    cluster: Cluster
    chart: str
    chart_version: str
    repository: str | None
    images: pulumi.Input[str]
    version: str
    issuer: pulumi.Output[Issuer] | None
    storage_class: str
    mtls: bool = False
    restricted: bool = False
    namespace: str = NAMESPACE
    high_availability: bool = False
    values: Mapping[str, Any] = field(default_factory=dict)


def dapr_values(
    *,
    images: Any,
    version: str,
    issuer: pulumi.Output[Issuer] | None,
    storage_class: str,
    mtls: bool = False,
    restricted: bool = False,
    high_availability: bool = False,
) -> dict[str, Any]:
    """Values of the chart: images, mTLS and its root, storage, rights of sidecars, pods that lack one."""
    values: dict[str, Any] = {
        "global": {
            "registry": images,
            "tag": version,
            "imagePullPolicy": "IfNotPresent",
            "mtls": {"enabled": mtls},
        },
    }
    if high_availability:
        values["global"]["ha"] = {"enabled": True}
    if issuer is not None:
        # A label of its pods: Dapr's control plane restarts with a new root, or it would keep, for half a
        # day, certificates that nobody trusts any more.
        values["global"]["labels"] = {ROOT_LABEL: _root_id(issuer)}
        values["dapr_sentry"] = {
            "tls": {
                "root": {"certPEM": issuer.apply(lambda one: one.root)},
                "issuer": {
                    "certPEM": issuer.apply(lambda one: one.certificate),
                    "keyPEM": issuer.apply(lambda one: one.key),
                },
            }
        }
    if restricted:  # all else that it asks for, the injector and the pods' own specs say already
        values["dapr_sidecar_injector"] = {"sidecarDropALLCapabilities": True}
    if not _of_the_article(version):
        values["dapr_scheduler"] = {"cluster": {"storageClassName": storage_class}}
        values["dapr_operator"] = {"watchInterval": HEALED_WITHIN}
    return values


def overlaid(values: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a chart with those of the user over them, key by key, as Helm lays one file over another."""
    both = dict(values)
    for key, value in theirs.items():
        below = both.get(key)
        both[key] = overlaid(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return both


def _root_id(issuer: pulumi.Output[Issuer]) -> pulumi.Output[str]:
    return pulumi.Output.unsecret(issuer.apply(lambda one: one.root_id))


def _of_the_article(version: str) -> bool:
    # Its 1.9 is left as it was, and has no scheduler: 1.14 brought that.
    major, minor = version.split(".")[:2]
    return (int(major), int(minor)) < (1, 14)


class Dapr(pulumi.ComponentResource):
    """Creates the namespace and the Helm release, and waits until its pods are ready.

    `restarts_sidecars` are annotations for pods with a sidecar: it learns what the root is, and whether mTLS
    is on, when its pod starts.
    """

    restarts_sidecars: Mapping[str, pulumi.Input[str]]

    def __init__(self, name: str, args: DaprArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:dapr:Dapr", name, None, opts)
        chart.install(
            name,
            self,
            cluster=args.cluster,
            namespace=args.namespace,
            release="dapr",
            chart=args.chart,
            version=args.chart_version,
            repository=args.repository,
            values=overlaid(
                dapr_values(
                    images=args.images,
                    version=args.version,
                    issuer=args.issuer,
                    storage_class=args.storage_class,
                    mtls=args.mtls,
                    restricted=args.restricted,
                    high_availability=args.high_availability,
                ),
                args.values,
            ),
            seconds=600,
            labels=OF_APPS if args.restricted else None,
        )
        self.restarts_sidecars = {
            **({} if args.issuer is None else {ROOT_LABEL: _root_id(args.issuer)}),
            **({MTLS_ANNOTATION: "on"} if args.mtls else {}),
        }
        self.register_outputs({})
