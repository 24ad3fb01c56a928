"""Names of what is derived from an import or beside a local Service, and the marks it carries."""

from __future__ import annotations

LONGEST_NAME = 63
"""Of a Service (RFC 1035 label)."""

LOCAL_OF = "multicluster.flomesh.io/local-of"
"""Label of a Service that selects the local pods of another, whose own endpoints are the gateways; Kubernetes
copies it to the slices it makes."""
SELECTOR = "multicluster.flomesh.io/selector"
"""Annotation of a Service whose selector was taken over: that selector, as JSON."""
EVERY_CALLER = "multicluster.flomesh.io/every-caller"
"""Annotation of a policy: `"true"` has it hold for callers of a local Service's own name too."""


def slice_name(name: str) -> str:
    """The slice that lists gateways as endpoints of the Service `name`."""
    return f"{name}-imported"


def cluster_set_name(name: str) -> str:
    """The derived Service that always follows the policy: what `name.namespace.svc.clusterset.local` is."""
    return f"{name}-clusterset"


def local_name(name: str) -> str:
    """The Service that selects the local pods of a Service that was taken over."""
    return f"{name}-local"
