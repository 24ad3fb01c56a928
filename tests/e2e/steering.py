"""Policies of one cluster for one service, set and taken back, with the words the tests have for it."""

from __future__ import annotations

import json
from typing import Any

from e2e.load import Kubectl

POLICY = "globaltrafficpolicies.flomesh.io"
APP = ("-n", "dapr-test")


class Steering:
    """The policy for a service of dapr-test in one cluster, which holds for every caller."""

    def __init__(self, kubectl: Kubectl, service: str = "nodeapp") -> None:
        self._kubectl, self._service = kubectl, service

    def steer(self, lb_type: str, **weights: int) -> None:
        """Clusters by name with `_` for `-`, with their weights."""
        targets = [
            {"clusterKey": f"default/default/default/{name.replace('_', '-')}", "weight": weight}
            for name, weight in weights.items()
        ]
        annotations = {"multicluster.flomesh.io/every-caller": "true"}
        policy = {
            "apiVersion": "flomesh.io/v1alpha1", "kind": "GlobalTrafficPolicy",
            "metadata": {"name": self._service, "namespace": "dapr-test", "annotations": annotations},
            "spec": {"lbType": lb_type, "targets": targets},
        }  # fmt: skip
        self._kubectl("apply", "-f", "-", stdin=json.dumps(policy))

    def free(self) -> None:
        """No policy; gone only when the Service is as it was."""
        self._kubectl(*APP, "delete", POLICY, self._service, "--ignore-not-found", "--timeout=60s")

    def reach(self) -> dict[str, Any]:
        """The condition that says whom the policy holds for."""
        found = self._kubectl(*APP, "get", POLICY, self._service, "--ignore-not-found", "-o", "json")
        conditions = (json.loads(found).get("status") or {}).get("conditions", []) if found else []
        return next((one for one in conditions if one["type"] == "EveryCaller"), {})
