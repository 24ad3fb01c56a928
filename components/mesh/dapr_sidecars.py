"""The Dapr sidecars that a cluster's gateways ask for its exports: pods of their own, beside the gateways.

In a gateway's pod a sidecar would decide whether that is ready: nothing would be served while Dapr is away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from ..joinable_cluster import UNAWAITED, JoinableCluster
from ..pod_security import CONTAINER_SECURITY, POD_SECURITY
from .gateway import DAPR_TOKEN_SECRET

NAME = "dapr-sidecars"
LABELS = {"app": NAME}
PORT = 3500
CALLER = "multicluster-gateway"
"""App-id of the sidecars: what access control lists of the called apps see, in the gateways' namespace."""

# A pod has a container beside its sidecar. This one waits until it is told to end.
WAIT = "import signal; signal.signal(signal.SIGTERM, lambda *_: None); signal.pause()"


@dataclass(frozen=True, kw_only=True)
class DaprSidecarsArgs:
    """`namespace` is the gateways' own, `app_ids` are those they ask for.

    `image` has Python. `restarts_with` are annotations of the pods: a changed value restarts them.
    """

    cluster: JoinableCluster
    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    replicas: int
    app_ids: Sequence[str]
    restarts_with: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)


def deployment_spec(*, replicas: int, image: Any, restarts_with: Mapping[str, Any]) -> dict[str, Any]:
    """Spec of the Deployment, whose pods Dapr's injector gives their sidecars."""
    annotations = {
        "dapr.io/enabled": "true",
        "dapr.io/app-id": CALLER,
        # Whoever reaches these pods could speak for the gateways, were it not for the token.
        "dapr.io/sidecar-listen-addresses": "0.0.0.0",  # noqa: S104
        "dapr.io/api-token-secret": DAPR_TOKEN_SECRET,
        "dapr.io/disable-builtin-k8s-secret-store": "true",
        # As much as a gateway lets through; bodies stream.
        "dapr.io/read-buffer-size": "64Ki",
        "dapr.io/max-body-size": "1Ti",
        # Until gateways have learnt that it leaves.
        "dapr.io/block-shutdown-duration": "5s",
        **restarts_with,
    }
    container = {
        "name": "waits",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", WAIT],
        "resources": {"requests": {"cpu": "1m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": CONTAINER_SECURITY,
    }
    return {
        "replicas": replicas,
        "selector": {"matchLabels": LABELS},
        "template": {
            "metadata": {"labels": LABELS, "annotations": annotations},
            "spec": {
                # A sidecar shows Dapr a token of its own, and reads no Secrets.
                "automountServiceAccountToken": False,
                "securityContext": POD_SECURITY,
                "containers": [container],
            },
        },
    }


def service_spec() -> dict[str, Any]:
    """Spec of the Service by whose endpoints gateways find the sidecars."""
    return {
        "clusterIP": "None",
        "selector": LABELS,
        "ports": [{"name": "http", "port": PORT, "targetPort": PORT, "protocol": "TCP"}],
    }


def resiliency_spec(app_ids: Sequence[str]) -> dict[str, Any]:
    """Spec of the Resiliency that keeps these sidecars from sending a request again.

    Dapr's built-in retries do not look at the method: a POST that was executed is sent again when the called
    sidecar goes. They cannot be set to none by their name, but are left out for apps that have a policy.
    """
    return {
        "policies": {"retries": {"never": {"policy": "constant", "maxRetries": 0}}},
        "targets": {"apps": {app_id: {"retry": "never"} for app_id in app_ids}},
    }


class DaprResiliency(pulumi.CustomResource):
    """A Dapr Resiliency of these sidecars. The SDK's CustomResource cannot set `scopes` beside `spec`."""

    def __init__(
        self,
        name: str,
        *,
        metadata: dict[str, pulumi.Input[str]],
        spec: dict[str, Any],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props = {
            "apiVersion": "dapr.io/v1alpha1",
            "kind": "Resiliency",
            "metadata": metadata,
            "spec": spec,
            "scopes": [CALLER],
        }
        super().__init__("kubernetes:dapr.io/v1alpha1:Resiliency", name, props, opts)


class DaprSidecars(pulumi.ComponentResource):
    """Creates the Resiliency, the Deployment and the headless Service."""

    def __init__(self, name: str, args: DaprSidecarsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:mesh:DaprSidecars", name, None, opts)
        metadata = {"name": NAME, "namespace": args.namespace, "labels": LABELS}
        resiliency = DaprResiliency(
            f"{name}-resiliency",
            metadata={"name": NAME, "namespace": args.namespace},
            spec=resiliency_spec(args.app_ids),
            opts=args.cluster.child(self),
        )
        kubernetes.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=metadata,
            spec=deployment_spec(replicas=args.replicas, image=args.image, restarts_with=args.restarts_with),
            # Before Dapr 1.18 a sidecar reads it only when it starts.
            opts=args.cluster.child(self, depends_on=[resiliency], waits=True),
        )
        kubernetes.core.v1.Service(
            f"{name}-service",
            metadata={**metadata, "annotations": UNAWAITED},
            spec=service_spec(),
            opts=args.cluster.child(self),
        )
        self.register_outputs({})
