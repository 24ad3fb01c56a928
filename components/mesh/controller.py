"""The controller of a cluster: writes the Services and conditions that its gateways need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from ..joinable_cluster import UNAWAITED, JoinableCluster
from . import rbac
from .account import Account
from .admission import Admission, AdmissionArgs, controller_spec
from .gateway import EAST_WEST_PORT, SERVICE_PORTS, placement_arguments
from .mutual_tls import NO_TLS, MutualTls
from .placement import Pods, disruption_budget, placed
from .workload import ADMIN_PORT, admin_service_spec, pod_template

NAME = "controller"
LABELS = {"app": NAME}
ROLE = "multicluster-controller"


@dataclass(frozen=True, kw_only=True)
class ControllerArgs:
    """`namespace` is the system namespace of the cluster. Of several `replicas` one writes.

    `foreign_imports` count as the hub's do. `admission`: whether its API server takes an admission policy, as
    it does from Kubernetes 1.30 on. `hosts` are as in GatewayArgs.
    """

    cluster: JoinableCluster
    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    digest: pulumi.Input[str]
    replicas: int
    front_door: bool
    foreign_imports: bool = False
    admission: bool = True
    pods: Pods = field(default_factory=Pods)
    cluster_domain: str | None = None
    log_level: str | None = None
    hosts: Sequence[Mapping[str, Any]] = ()
    mutual_tls: MutualTls = NO_TLS


def controller_arguments(
    *,
    cluster_key: str,
    front_door: bool,
    foreign_imports: bool = False,
    cluster_domain: str | None = None,
    log_level: str | None = None,
    hosts: Sequence[Mapping[str, Any]] = (),
    tls: MutualTls = NO_TLS,
) -> list[str]:
    """Arguments of the image."""
    return [
        "control",
        f"--cluster-key={cluster_key}",
        f"--admin=[::]:{ADMIN_PORT}",
        f"--east-west-port={EAST_WEST_PORT}",
        f"--service-ports={SERVICE_PORTS}",
        *(["--front-door"] if front_door else []),
        *(["--foreign-imports"] if foreign_imports else []),
        *tls.controller_arguments(),
        *placement_arguments(cluster_domain, log_level, hosts),
    ]


def deployment_spec(*, replicas: int, template: dict[str, Any]) -> dict[str, Any]:
    """Spec of the Deployment. A new pod follows along before the old one gives up the Lease."""
    return {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template}


class Controller(pulumi.ComponentResource):
    """Creates a ServiceAccount with its rules and admission policy, the Deployment and a Service of it."""

    deployment: pulumi.Resource

    def __init__(self, name: str, args: ControllerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:mesh:Controller", name, None, opts)
        cluster = args.cluster
        metadata = {"name": NAME, "namespace": args.namespace, "labels": LABELS}
        account = kubernetes.core.v1.ServiceAccount(
            f"{name}-account", metadata=metadata, opts=cluster.child(self)
        )
        me = Account(parent=self, cluster=cluster, name=account.metadata["name"], namespace=args.namespace)
        tls = args.mutual_tls
        everywhere = (*rbac.CONTROLLER, *(rbac.CONTROLLER_PEERS if tls.on else ()))
        at_home = (*rbac.CONTROLLER_OWN, *(rbac.CONTROLLER_CERTIFICATES if tls.on else ()))
        bindings = [
            me.may(name, ROLE, everywhere),
            me.may_at_home(f"{name}-own", f"{ROLE}-own", at_home),
        ]
        if args.admission:
            spec = pulumi.Output.from_input(args.namespace).apply(
                lambda namespace: controller_spec(account=NAME, namespace=namespace)
            )
            policy = AdmissionArgs(cluster=cluster, name=ROLE, spec=spec)
            Admission(f"{name}-admission", policy, pulumi.ResourceOptions(parent=self))
        template = pod_template(
            labels=LABELS,
            image=args.image,
            digest=args.digest,
            args=controller_arguments(
                cluster_key=cluster.key,
                front_door=args.front_door,
                foreign_imports=args.foreign_imports,
                cluster_domain=args.cluster_domain,
                log_level=args.log_level,
                hosts=args.hosts,
                tls=tls,
            ),
            ports={},
            cache=False,
        )
        self.deployment = kubernetes.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=metadata,
            spec=deployment_spec(
                replicas=args.replicas, template=placed(template, args.pods, replicas=args.replicas)
            ),
            # A controller without its rules never becomes ready.
            opts=cluster.child(self, depends_on=bindings, waits=True),
        )
        kubernetes.core.v1.Service(
            f"{name}-service",
            metadata={**metadata, "annotations": UNAWAITED},
            spec=admin_service_spec(LABELS),
            opts=cluster.child(self),
        )
        disruption_budget(name, cluster, self, metadata, replicas=args.replicas)
        self.register_outputs({})
