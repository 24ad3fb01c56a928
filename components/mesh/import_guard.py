"""The admission policy by which a cluster's API server takes the hub's imports from the hub alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import yaml

from ..joinable_cluster import JoinableCluster

IMPORT_POLICY = Path(__file__).parents[1] / "admission" / "serviceimports.yaml"
"""The gateway's own file: by a link to proxy/admission here, a copy of it where this package is installed."""


@dataclass(frozen=True, kw_only=True)
class ImportGuardArgs:
    """`policy` and `binding` as load_policy returns them. The cluster is of Kubernetes 1.30 or later."""

    cluster: JoinableCluster
    policy: Mapping[str, Any]
    binding: Mapping[str, Any]


def load_policy(file: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The policy in the gateway's own file, and its binding. ValueError when it holds anything else."""
    documents = list(yaml.safe_load_all(file.read_text()))
    kinds = [document["kind"] for document in documents]
    if kinds != ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"]:
        raise ValueError(f"{file} holds {', '.join(kinds)}; give a policy, then its binding")
    return documents[0], documents[1]


class ImportGuard(pulumi.ComponentResource):
    """Creates the policy and its binding."""

    def __init__(self, name: str, args: ImportGuardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:mesh:ImportGuard", name, None, opts)
        admission = kubernetes.admissionregistration.v1
        policy = admission.ValidatingAdmissionPolicy(
            f"{name}-policy",
            metadata=args.policy["metadata"],
            spec=args.policy["spec"],
            opts=args.cluster.child(self),
        )
        admission.ValidatingAdmissionPolicyBinding(
            f"{name}-binding",
            metadata=args.binding["metadata"],
            spec=args.binding["spec"],
            opts=args.cluster.child(self, depends_on=[policy]),
        )
        self.register_outputs({})
