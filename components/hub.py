"""The hub, on the control plane: carries exports of every member to the others as imports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import hub_identity, rbac
from components.cluster import Cluster
from components.hub_identity import HubIdentity, HubIdentityArgs
from components.workload import ADMIN_PORT, pod_template

NAME = hub_identity.NAME
LABELS = {"app": NAME}


@dataclass(frozen=True, kw_only=True)
class HubArgs:
    """`namespace` is the system namespace of the control plane."""

    cluster: Cluster
    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    digest: pulumi.Input[str]


def hub_arguments(*, cluster_key: str) -> list[str]:
    """Arguments of the image."""
    return ["hub", f"--admin=0.0.0.0:{ADMIN_PORT}", f"--cluster-key={cluster_key}"]


def deployment_spec(*, template: dict[str, Any]) -> dict[str, Any]:
    """Spec of the Deployment: two hubs at a time would write the same objects twice."""
    return {
        "replicas": 1,
        "selector": {"matchLabels": LABELS},
        "strategy": {"type": "Recreate"},
        "template": template,
    }


class Hub(pulumi.ComponentResource):
    """Creates its identity, its verbs at home and the Deployment."""

    def __init__(self, name: str, args: HubArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:mesh:Hub", name, None, opts)
        cluster = args.cluster
        identity = HubIdentity(
            f"{name}-identity",
            HubIdentityArgs(cluster=cluster, namespace=args.namespace),
            pulumi.ResourceOptions(parent=self),
        )
        subject = {"kind": "ServiceAccount", "name": identity.account, "namespace": args.namespace}
        home = kubernetes.rbac.v1.ClusterRole(
            f"{name}-home-role",
            metadata={"name": f"{NAME}-home"},
            rules=list(rbac.HUB_HOME),
            opts=cluster.child(self),
        )
        home_binding = kubernetes.rbac.v1.ClusterRoleBinding(
            f"{name}-home-binding",
            metadata={"name": f"{NAME}-home"},
            role_ref={
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": home.metadata["name"],
            },
            subjects=[subject],
            opts=cluster.child(self),
        )
        secrets = kubernetes.rbac.v1.Role(
            f"{name}-secrets-role",
            metadata={"name": f"{NAME}-secrets", "namespace": args.namespace},
            rules=list(rbac.HUB_SECRETS),
            opts=cluster.child(self),
        )
        secrets_binding = kubernetes.rbac.v1.RoleBinding(
            f"{name}-secrets-binding",
            metadata={"name": f"{NAME}-secrets", "namespace": args.namespace},
            role_ref={
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": secrets.metadata["name"],
            },
            subjects=[subject],
            opts=cluster.child(self),
        )
        template = pod_template(
            labels=LABELS,
            image=args.image,
            digest=args.digest,
            args=hub_arguments(cluster_key=cluster.key),
            ports={},
            cache=False,
        )
        kubernetes.apps.v1.Deployment(
            f"{name}-deployment",
            metadata={"name": NAME, "namespace": args.namespace, "labels": LABELS},
            spec=deployment_spec(template=template),
            # A hub without its verbs never becomes ready.
            opts=cluster.child(
                self, depends_on=[identity.binding, home_binding, secrets_binding], waits=True
            ),
        )
        self.register_outputs({})
