"""What a ServiceAccount may do: a role with its rules, and the binding that gives it to the account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from ..joinable_cluster import JoinableCluster
from .rbac import Rule


@dataclass(frozen=True, kw_only=True)
class Account:
    """A ServiceAccount; `parent` is the component that its roles belong to."""

    parent: pulumi.Resource
    cluster: JoinableCluster
    name: pulumi.Input[str]
    namespace: pulumi.Input[str]

    def may(self, resource: str, role_name: str, rules: Sequence[Rule]) -> pulumi.Resource:
        """Give it rules in the whole cluster. They hold from the binding on, which is returned."""
        opts = self.cluster.child(self.parent)
        metadata = {"name": role_name}
        role = kubernetes.rbac.v1.ClusterRole(
            f"{resource}-role", metadata=metadata, rules=list(rules), opts=opts
        )
        binding: pulumi.Resource = kubernetes.rbac.v1.ClusterRoleBinding(
            f"{resource}-binding", metadata=metadata, opts=opts, **self._bound("ClusterRole", role)
        )
        return binding

    def may_at_home(self, resource: str, role_name: str, rules: Sequence[Rule]) -> pulumi.Resource:
        """Give it rules in its own namespace."""
        opts = self.cluster.child(self.parent)
        metadata = {"name": role_name, "namespace": self.namespace}
        role = kubernetes.rbac.v1.Role(f"{resource}-role", metadata=metadata, rules=list(rules), opts=opts)
        binding: pulumi.Resource = kubernetes.rbac.v1.RoleBinding(
            f"{resource}-binding", metadata=metadata, opts=opts, **self._bound("Role", role)
        )
        return binding

    def _bound(self, kind: str, role: Any) -> dict[str, Any]:
        group = "rbac.authorization.k8s.io"
        return {
            "role_ref": {"apiGroup": group, "kind": kind, "name": role.metadata["name"]},
            "subjects": [{"kind": "ServiceAccount", "name": self.name, "namespace": self.namespace}],
        }
