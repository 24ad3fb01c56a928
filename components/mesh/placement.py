"""Where pods of the mesh run and how they are reached: what a cluster's owner says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from ..joinable_cluster import JoinableCluster

HOST = "kubernetes.io/hostname"


@dataclass(frozen=True, kw_only=True)
class Pods:
    """What is said of pods, in the words of a PodSpec. `spread` None: over nodes, where there are several.

    `pull_secret` is the name of a Secret beside them.
    """

    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, Any]] = ()
    affinity: Mapping[str, Any] = field(default_factory=dict)
    spread: Sequence[Mapping[str, Any]] | None = None
    resources: Mapping[str, Any] = field(default_factory=dict)
    priority_class: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    pull_secret: pulumi.Input[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Published:
    """What is said of the gateway's Service, in the words of a ServiceSpec. Empty: nothing."""

    annotations: Mapping[str, str] = field(default_factory=dict)
    load_balancer_class: str = ""
    load_balancer_address: str = ""
    ip_family_policy: str = ""
    ip_families: Sequence[str] = ()

    def spec(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """The Service's spec with what is said."""
        said = {
            "loadBalancerClass": self.load_balancer_class,
            "loadBalancerIP": self.load_balancer_address,
            "ipFamilyPolicy": self.ip_family_policy,
            "ipFamilies": list(self.ip_families),
        }
        return {**spec, **{key: value for key, value in said.items() if value}}


def placed(template: Mapping[str, Any], pods: Pods, *, replicas: int) -> dict[str, Any]:
    """A pod template with what is said. Labels and annotations that it has itself stay as they are."""
    metadata, spec = template["metadata"], template["spec"]
    (container,) = spec["containers"]
    labels = metadata["labels"]
    apart = {
        "maxSkew": 1,
        "topologyKey": HOST,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels},
    }
    spread = [apart] if pods.spread is None and replicas > 1 else [
        # Which pods are counted is nothing that the owner of a cluster should have to know.
        {"labelSelector": {"matchLabels": labels}, **one} for one in pods.spread or ()
    ]  # fmt: skip
    said = {
        "nodeSelector": dict(pods.node_selector),
        "tolerations": list(pods.tolerations),
        "affinity": dict(pods.affinity),
        "topologySpreadConstraints": spread,
        "priorityClassName": pods.priority_class,
        "imagePullSecrets": [] if pods.pull_secret is None else [{"name": pods.pull_secret}],
    }
    if pods.resources:
        container = {**container, "resources": dict(pods.resources)}
    return {
        **template,
        "metadata": {
            **metadata,
            "labels": {**pods.labels, **labels},
            "annotations": {**pods.annotations, **metadata["annotations"]},
        },
        "spec": {**spec, "containers": [container], **{key: value for key, value in said.items() if value}},
    }


def disruption_budget(
    name: str,
    cluster: JoinableCluster,
    parent: pulumi.Resource,
    metadata: Mapping[str, Any],
    *,
    replicas: int,
) -> None:
    """Keep a drain from taking all pods at once. A single pod gets none: it would block every drain."""
    if replicas < 2:
        return
    kubernetes.policy.v1.PodDisruptionBudget(
        f"{name}-disruption-budget",
        metadata=dict(metadata),
        spec={"maxUnavailable": 1, "selector": {"matchLabels": metadata["labels"]}},
        opts=cluster.child(parent),
    )


def autoscaler_spec(*, deployment: str, least: int, most: int, cpu_percent: int) -> dict[str, Any]:
    """Spec of a HorizontalPodAutoscaler of a Deployment, by the share of requested CPU that its pods use."""
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment},
        "minReplicas": least,
        "maxReplicas": most,
        "metrics": [
            {
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": cpu_percent},
                },
            }
        ],
    }
