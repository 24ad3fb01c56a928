"""An app: a Deployment, the Service before it, the account of its pods and the Secret they read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.annotations import version_of
from components.cluster.cluster import Cluster
from components.joinable_cluster import UNAWAITED

VERSION_ANNOTATION = "multicluster-dapr/secret-version"
# What older versions of this program call the demo's apps in their state.
FORMER_TYPES = ("multicluster-dapr:app:NodeApp", "multicluster-dapr:app:CurlClient")


@dataclass(frozen=True, kw_only=True)
class AppArgs:
    """`deployment` and `service` are specs; without a Service there is None. `labels` are theirs.

    `account` are the annotations of a ServiceAccount with the app's name; None for no such account. `secrets`
    are the texts, by key, of a Secret with the app's name and `-env`; without any there is none.
    """

    cluster: Cluster
    name: str
    namespace: pulumi.Input[str]
    labels: Mapping[str, str]
    deployment: Mapping[str, Any]
    service: Mapping[str, Any] | None = None
    account: Mapping[str, str] | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)


def secret_name(app: str) -> str:
    """Name of the Secret with the values that only its pods are to see."""
    return f"{app}-env"


def restarting(deployment: Mapping[str, Any], version: Any) -> dict[str, Any]:
    """The Deployment's spec, with pods that restart when the Secret has another version."""
    template = deployment["template"]
    annotations = {**template["metadata"]["annotations"], VERSION_ANNOTATION: version}
    metadata = {**template["metadata"], "annotations": annotations}
    return {**deployment, "template": {**template, "metadata": metadata}}


class App(pulumi.ComponentResource):
    """Creates them, and waits until the Deployment is available."""

    def __init__(self, name: str, args: AppArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        former = [pulumi.Alias(type_=token) for token in FORMER_TYPES]
        options = pulumi.ResourceOptions.merge(pulumi.ResourceOptions(aliases=former), opts)
        super().__init__("multicluster-dapr:app:App", name, None, options)
        metadata = {"name": args.name, "namespace": args.namespace, "labels": dict(args.labels)}
        deployment = dict(args.deployment)
        needed: list[pulumi.Resource] = []
        if args.account is not None:
            account = kubernetes.core.v1.ServiceAccount(
                f"{name}-account",
                metadata={**metadata, **({"annotations": dict(args.account)} if args.account else {})},
                opts=args.cluster.child(self),
            )
            needed.append(account)
        if args.secrets:
            secret = kubernetes.core.v1.Secret(
                f"{name}-secret",
                metadata={**metadata, "name": secret_name(args.name)},
                string_data=pulumi.Output.secret(dict(args.secrets)),
                opts=args.cluster.child(self),
            )
            needed.append(secret)
            deployment = restarting(deployment, secret.metadata.apply(version_of))
        kubernetes.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=metadata,
            spec=deployment,
            # Its pods refer to both by name, and admission refuses those of an account that is not there.
            opts=args.cluster.child(self, depends_on=needed, waits=True),
        )
        if args.service is not None:
            kubernetes.core.v1.Service(
                f"{name}-service",
                metadata={**metadata, "annotations": UNAWAITED},
                spec=dict(args.service),
                opts=args.cluster.child(self),
            )
        self.register_outputs({})
