"""What the gateway and the hub may do, as data: no verb more than they use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Rule = dict[str, Any]

READ = ("get", "list", "watch")
GROUP = "flomesh.io"


def rule(group: str, resources: Sequence[str], verbs: Sequence[str]) -> Rule:
    """One rule of a Role or ClusterRole."""
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


GATEWAY: tuple[Rule, ...] = (
    rule(GROUP, ["serviceexports", "serviceimports", "globaltrafficpolicies"], READ),
    rule(
        GROUP, ["serviceexports/status", "serviceimports/status", "globaltrafficpolicies/status"], ["patch"]
    ),
    rule("", ["services"], [*READ, "create", "patch", "delete"]),
    rule("discovery.k8s.io", ["endpointslices"], [*READ, "create", "patch", "delete"]),
    rule("", ["events"], ["create", "patch"]),
)

# The hub, in every cluster it follows, its own included.
HUB: tuple[Rule, ...] = (
    rule(GROUP, ["serviceexports"], READ),
    rule(GROUP, ["serviceexports/status"], ["patch"]),
    rule(GROUP, ["serviceimports"], [*READ, "create", "patch", "delete"]),
    rule(GROUP, ["serviceimports/status"], ["patch"]),
    rule("", ["services"], READ),
    rule("", ["namespaces"], ["get", "create"]),
    rule("", ["events"], ["create", "patch"]),
)

# The hub, at home: the clusters that join.
HUB_HOME: tuple[Rule, ...] = (
    rule(GROUP, ["clusters"], READ),
    rule(GROUP, ["clusters/status"], ["patch"]),
)

# The hub, in its own namespace: the members' credentials.
HUB_SECRETS: tuple[Rule, ...] = (rule("", ["secrets"], READ),)
