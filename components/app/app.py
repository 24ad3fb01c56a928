"""An app of the user's: a Deployment, the Service before it, and the Secret it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.cluster.cluster import Cluster
from components.joinable_cluster import UNAWAITED

VERSION_ANNOTATION = "multicluster-dapr/secret-version"


@dataclass(frozen=True, kw_only=True)
class AppArgs:
    """`deployment` and `service` are specs; without a Service there is None.

    `secrets` are the texts, by key, of a Secret with the app's name and `-env`; without any there is none.
    """

    cluster: Cluster
    name: str
    namespace: pulumi.Input[str]
    deployment: Mapping[str, Any]
    service: Mapping[str, Any] | None = None
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


def _version(metadata: Mapping[str, Any]) -> str:
    return str(metadata.get("resource_version") or "")


class App(pulumi.ComponentResource):
    """Creates them, and waits until the Deployment is available."""

    def __init__(self, name: str, args: AppArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:app:App", name, None, opts)
        metadata = {"name": args.name, "namespace": args.namespace, "labels": {"app": args.name}}
        deployment, needed = dict(args.deployment), []
        if args.secrets:
            secret = kubernetes.core.v1.Secret(
                f"{name}-secret",
                metadata={**metadata, "name": secret_name(args.name)},
                string_data=pulumi.Output.secret(dict(args.secrets)),
                opts=args.cluster.child(self),
            )
            needed.append(secret)
            deployment = restarting(deployment, secret.metadata.apply(_version))
        kubernetes.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=metadata,
            spec=deployment,
            # Its pods refer to the Secret by name.
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
