"""A GlobalTrafficPolicy: where calls of one cluster to a service go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.cluster.cluster import Cluster

EVERY_CALLER = "multicluster.flomesh.io/every-caller"


@dataclass(frozen=True, kw_only=True)
class GlobalTrafficPolicyArgs:
    """`targets` are pairs of cluster key and weight; a weight of None is the CRD's default.

    `every_caller` has the bundled mesh take a local Service over, so that the policy holds for its callers.
    """

    cluster: Cluster
    namespace: pulumi.Input[str]
    service: str
    lb_type: str
    targets: Sequence[tuple[str, int | None]]
    every_caller: bool


def policy_spec(*, lb_type: str, targets: Sequence[tuple[str, int | None]]) -> dict[str, Any]:
    """Spec of the GlobalTrafficPolicy."""
    spec: dict[str, Any] = {"lbType": lb_type}
    if targets:
        spec["targets"] = [
            {"clusterKey": key} if weight is None else {"clusterKey": key, "weight": weight}
            for key, weight in targets
        ]
    return spec


class GlobalTrafficPolicy(pulumi.ComponentResource):
    """Creates the GlobalTrafficPolicy, named as the service it is for."""

    def __init__(
        self, name: str, args: GlobalTrafficPolicyArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("multicluster-dapr:mesh:GlobalTrafficPolicy", name, None, opts)
        kubernetes.apiextensions.CustomResource(
            f"{name}-object",
            api_version="flomesh.io/v1alpha1",
            kind="GlobalTrafficPolicy",
            metadata={
                "name": args.service,
                "namespace": args.namespace,
                "annotations": {EVERY_CALLER: "true"} if args.every_caller else {},
            },
            spec=policy_spec(lb_type=args.lb_type, targets=args.targets),
            opts=args.cluster.child(self),
        )
        self.register_outputs({})
