"""The RBAC rules of gateway, controller and hub: none that they do not use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .mutual_tls import CA_SECRET, CERTIFICATE_SECRET, OWN_CA_SECRET

Rule = dict[str, Any]

READ = ("get", "list", "watch")
GROUP = "flomesh.io"


HUB_ACCOUNT = "multicluster-hub"
BOOTSTRAP = "multicluster-hub-bootstrap"
"""Account and Secret of the credential with which the hub begins in a member."""


def rule(group: str, resources: Sequence[str], verbs: Sequence[str], names: Sequence[str] = ()) -> Rule:
    """One rule of a Role or ClusterRole, of all objects or those with these names."""
    named = {"resourceNames": list(names)} if names else {}
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs), **named}


# The gateway parses the network's HTTP, and writes nothing.
GATEWAY: tuple[Rule, ...] = (
    rule(GROUP, ["serviceexports", "serviceimports", "globaltrafficpolicies"], READ),
    rule("", ["services"], READ),
    rule("discovery.k8s.io", ["endpointslices"], READ),
)

# What gateways know other clusters' by, with mutual TLS.
GATEWAY_PEERS: tuple[Rule, ...] = (rule(GROUP, ["peers"], READ),)

# The controller writes what the gateways of its cluster need.
CONTROLLER: tuple[Rule, ...] = (
    *GATEWAY,
    rule(
        GROUP, ["serviceexports/status", "serviceimports/status", "globaltrafficpolicies/status"], ["patch"]
    ),
    # A finalizer on policies whose Service is taken over.
    rule(GROUP, ["globaltrafficpolicies"], ["patch"]),
    rule("", ["services"], ["create", "patch", "delete"]),
    # The Endpoints object that Kubernetes leaves behind on a Service that was taken over.
    rule("", ["endpoints"], ["delete"]),
    rule("discovery.k8s.io", ["endpointslices"], ["create", "patch", "delete"]),
    # Where Dapr's apps call imported services by app-id.
    rule("dapr.io", ["httpendpoints"], [*READ, "create", "patch", "delete"]),
    rule("", ["namespaces"], READ),
)

# The controller, in its own namespace: the Lease of which one of several controllers writes.
CONTROLLER_OWN: tuple[Rule, ...] = (rule("coordination.k8s.io", ["leases"], ["get", "create", "patch"]),)

# The controller with mutual TLS: it says its cluster's roots, and which of others are trusted.
CONTROLLER_PEERS: tuple[Rule, ...] = (
    *GATEWAY_PEERS,
    rule(GROUP, ["peers"], ["create", "patch"]),
    rule(GROUP, ["peers/status"], ["patch"]),
)

# In its own namespace then: the cluster's CA and the certificate of its gateways, and a CA of the user's.
# RBAC cannot tell which ones are created: the admission policy does.
CONTROLLER_CERTIFICATES: tuple[Rule, ...] = (
    rule("", ["secrets"], ["create"]),
    rule("", ["secrets"], ["get", "patch"], [CA_SECRET, CERTIFICATE_SECRET]),
    rule("", ["secrets"], ["get"], [OWN_CA_SECRET]),
)

# The hub, in every cluster it follows, its own included.
HUB: tuple[Rule, ...] = (
    rule(GROUP, ["serviceexports"], READ),
    rule(GROUP, ["serviceexports/status"], ["patch"]),
    rule(GROUP, ["serviceimports"], [*READ, "create", "patch", "delete"]),
    rule(GROUP, ["serviceimports/status"], ["patch"]),
    rule("", ["services"], READ),
    # Imports go only where their namespace exists.
    rule("", ["namespaces"], READ),
    rule("", ["events"], ["create"]),
)

# With mutual TLS it carries the roots of each cluster to the others.
HUB_PEERS: tuple[Rule, ...] = (
    rule(GROUP, ["peers"], [*READ, "create", "patch", "delete"]),
    rule(GROUP, ["peers/status"], ["patch"]),
)

# The credential to begin with, in the system namespace of a member: it buys the hub's first token.
HUB_BOOTSTRAP: tuple[Rule, ...] = (rule("", ["serviceaccounts/token"], ["create"], [HUB_ACCOUNT]),)

# The hub, in the system namespace of a member: it renews its token, and ends the credential it began with.
HUB_RENEWAL: tuple[Rule, ...] = (
    *HUB_BOOTSTRAP,
    rule("", ["secrets"], ["delete"], [BOOTSTRAP]),
)

# The hub, in the control plane: the clusters that join, on which it puts a finalizer.
HUB_HOME: tuple[Rule, ...] = (
    rule(GROUP, ["clusters"], [*READ, "patch"]),
    rule(GROUP, ["clusters/status"], ["patch"]),
)

# The hub, in its own namespace: the members' credentials, and the Lease of which one of several hubs writes.
HUB_OWN: tuple[Rule, ...] = (
    rule("", ["secrets"], READ),
    rule("coordination.k8s.io", ["leases"], ["get", "create", "patch"]),
)


def hub_keeps(secret: str) -> tuple[Rule, ...]:
    """The hub, in its own namespace: the Secret that keeps its token of a member."""
    return (rule("", ["secrets"], ["patch"], [secret]),)
