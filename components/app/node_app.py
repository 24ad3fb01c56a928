"""NodeApp: the demo service, a Dapr application that names its cluster in every answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.annotations import DIGEST_ANNOTATION
from components.app import dapr_pod
from components.cluster.cluster import Cluster
from components.joinable_cluster import UNAWAITED
from components.pod_security import CONTAINER_SECURITY

NAME = "nodeapp"
LABELS = {"app": "node"}
PORT = 3000


@dataclass(frozen=True, kw_only=True)
class NodeAppArgs:
    """`image` and `digest` of a BuiltImage that the cluster's nodes can run.

    `restarts_with` are annotations of the pods: a changed value restarts them. `token` lets pods have the
    token of their ServiceAccount.
    """

    cluster: Cluster
    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    digest: pulumi.Input[str]
    restarts_with: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    token: bool = False


def service_spec() -> dict[str, Any]:
    """Spec of the Service, as in the article."""
    return {"selector": LABELS, "ports": [{"protocol": "TCP", "port": PORT, "targetPort": PORT}]}


def deployment_spec(
    *, cluster: str, image: Any, digest: Any, restarts_with: Mapping[str, Any], token: bool = False
) -> dict[str, Any]:
    """Spec of the Deployment, as in the article, with our image and what keeps a rollout clean."""
    return {
        "replicas": 1,
        "selector": {"matchLabels": LABELS},
        "template": {
            "metadata": {
                "labels": LABELS,
                "annotations": {
                    "dapr.io/enabled": "true",
                    "dapr.io/app-id": NAME,
                    "dapr.io/app-port": str(PORT),
                    "dapr.io/enable-api-logging": "true",
                    **dapr_pod.for_injector(token=token),
                    DIGEST_ANNOTATION: digest,
                    **restarts_with,
                },
            },
            "spec": {
                **dapr_pod.security(token=token),
                "containers": [
                    {
                        "name": "node",
                        "image": image,
                        "imagePullPolicy": "IfNotPresent",
                        "env": [
                            {"name": "APP_PORT", "value": str(PORT)},
                            {"name": "CLUSTER_NAME", "value": cluster},
                        ],
                        "ports": [{"containerPort": PORT}],
                        "readinessProbe": {
                            "httpGet": {"path": "/healthz", "port": PORT},
                            "periodSeconds": 2,
                        },
                        "securityContext": CONTAINER_SECURITY,
                    }
                ],
            },
        },
    }


class NodeApp(pulumi.ComponentResource):
    """Creates the Service and the Deployment, and waits until it is available."""

    def __init__(self, name: str, args: NodeAppArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:app:NodeApp", name, None, opts)
        metadata = {"name": NAME, "namespace": args.namespace, "labels": LABELS}
        kubernetes.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=metadata,
            spec=deployment_spec(
                cluster=args.cluster.name,
                image=args.image,
                digest=args.digest,
                restarts_with=args.restarts_with,
                token=args.token,
            ),
            opts=args.cluster.child(self, waits=True),
        )
        kubernetes.core.v1.Service(
            f"{name}-service",
            metadata={**metadata, "annotations": UNAWAITED},
            spec=service_spec(),
            opts=args.cluster.child(self),
        )
        self.register_outputs({})
