"""The hub, on the control plane: writes exports of every member to the others as imports."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from ..joinable_cluster import UNAWAITED, JoinableCluster
from . import hub_identity, rbac
from .account import Account
from .gateway import hosts_argument
from .hub_identity import HubIdentity, HubIdentityArgs
from .mutual_tls import NO_TLS, MutualTls
from .placement import Pods, disruption_budget, placed
from .workload import ADMIN_PORT, admin_service_spec, pod_template

NAME = hub_identity.NAME
LABELS = {"app": NAME}


@dataclass(frozen=True, kw_only=True)
class HubArgs:
    """`namespace` is the system namespace of the control plane. Of several `replicas` one writes.

    `paths`: delegated paths of the front door, each a prefix with its namespaces and cluster keys. `hosts`:
    the same of hosts that exports may have. `admission` is as in ControllerArgs.
    """

    cluster: JoinableCluster
    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    digest: pulumi.Input[str]
    replicas: int = 1
    paths: Sequence[dict[str, Any]] = ()
    hosts: Sequence[Mapping[str, Any]] = ()
    admission: bool = True
    pods: Pods = field(default_factory=Pods)
    log_level: str | None = None
    mutual_tls: MutualTls = NO_TLS


def hub_arguments(
    *,
    cluster_key: str,
    replicas: int = 1,
    paths: Sequence[dict[str, Any]] = (),
    hosts: Sequence[Mapping[str, Any]] = (),
    log_level: str | None = None,
    tls: MutualTls = NO_TLS,
) -> list[str]:
    """Arguments of the image. `paths` are delegated paths of the front door, `hosts` granted ones."""
    return [
        "hub",
        f"--admin=[::]:{ADMIN_PORT}",
        f"--cluster-key={cluster_key}",
        *(["--elect"] if replicas > 1 else []),
        *([f"--paths={json.dumps(list(paths))}"] if paths else []),
        *hosts_argument(hosts),
        *tls.hub_arguments(),
        *([f"--log-level={log_level}"] if log_level else []),
    ]


def deployment_spec(*, template: dict[str, Any], replicas: int = 1) -> dict[str, Any]:
    """Spec of the Deployment. A single hub elects nobody, so there must never be a second one beside it."""
    return {
        "replicas": replicas,
        "selector": {"matchLabels": LABELS},
        "strategy": {"type": "Recreate" if replicas == 1 else "RollingUpdate"},
        "template": template,
    }


class Hub(pulumi.ComponentResource):
    """Creates its identity, its rules in the control plane, the Deployment and a Service."""

    deployment: pulumi.Resource

    def __init__(self, name: str, args: HubArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:mesh:Hub", name, None, opts)
        cluster = args.cluster
        identity = HubIdentity(
            f"{name}-identity",
            HubIdentityArgs(
                cluster=cluster,
                namespace=args.namespace,
                admission=args.admission,
                peers=args.mutual_tls.on,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        me = Account(parent=self, cluster=cluster, name=identity.account, namespace=args.namespace)
        bindings = [
            identity.binding,
            me.may(f"{name}-home", f"{NAME}-home", rbac.HUB_HOME),
            me.may_at_home(f"{name}-own", f"{NAME}-own", rbac.HUB_OWN),
        ]
        template = pod_template(
            labels=LABELS,
            image=args.image,
            digest=args.digest,
            args=hub_arguments(
                cluster_key=cluster.key,
                replicas=args.replicas,
                paths=args.paths,
                hosts=args.hosts,
                log_level=args.log_level,
                tls=args.mutual_tls,
            ),
            ports={},
            cache=False,
        )
        metadata = {"name": NAME, "namespace": args.namespace, "labels": LABELS}
        self.deployment = kubernetes.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=metadata,
            spec=deployment_spec(
                template=placed(template, args.pods, replicas=args.replicas), replicas=args.replicas
            ),
            # A hub without its rules never becomes ready.
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
