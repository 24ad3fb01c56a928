"""A Deployment with curl in it, from which the demo calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.app import dapr_pod
from components.cluster.cluster import Cluster
from components.joinable_cluster import UNAWAITED
from components.pod_security import CONTAINER_SECURITY

NAME = "curl"
LABELS = {"app": NAME}


@dataclass(frozen=True, kw_only=True)
class CurlClientArgs:
    """`image` has `curl` and `sleep` in it. The rest is as in NodeAppArgs."""

    cluster: Cluster
    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    restarts_with: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    token: bool = False


def service_spec() -> dict[str, Any]:
    """Spec of the Service, as in the article; nothing listens behind it."""
    return {"selector": LABELS, "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}


def deployment_spec(*, image: Any, restarts_with: Mapping[str, Any], token: bool = False) -> dict[str, Any]:
    """Spec of the Deployment, as in the article."""
    return {
        "replicas": 1,
        "selector": {"matchLabels": LABELS},
        "template": {
            "metadata": {
                "labels": LABELS,
                "annotations": {
                    "dapr.io/enabled": "true",
                    "dapr.io/app-id": NAME,
                    "dapr.io/enable-api-logging": "true",
                    "dapr.io/log-level": "debug",
                    **dapr_pod.for_injector(token=token),
                    **restarts_with,
                },
            },
            "spec": {
                "serviceAccountName": NAME,
                **dapr_pod.security(token=token),
                # `sleep` ignores SIGTERM as process 1: without this every stop would take 30 s.
                "terminationGracePeriodSeconds": 1,
                "containers": [
                    {
                        "name": NAME,
                        "image": image,
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["sleep", "365d"],
                        "securityContext": CONTAINER_SECURITY,
                    }
                ],
            },
        },
    }


class CurlClient(pulumi.ComponentResource):
    """Creates the ServiceAccount, the Service and the Deployment, and waits until the pod is ready."""

    def __init__(self, name: str, args: CurlClientArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:app:CurlClient", name, None, opts)
        metadata = {"name": NAME, "namespace": args.namespace}
        account = kubernetes.core.v1.ServiceAccount(
            f"{name}-account", metadata=metadata, opts=args.cluster.child(self)
        )
        kubernetes.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=metadata,
            spec=deployment_spec(image=args.image, restarts_with=args.restarts_with, token=args.token),
            # Admission refuses pods of a ServiceAccount that is not there, and retries ever more slowly.
            opts=args.cluster.child(self, depends_on=[account], waits=True),
        )
        kubernetes.core.v1.Service(
            f"{name}-service",
            metadata={**metadata, "labels": {"app": NAME, "service": NAME}, "annotations": UNAWAITED},
            spec=service_spec(),
            opts=args.cluster.child(self),
        )
        self.register_outputs({})
