"""What Dapr apps call by app-id, and from where: an annotation of exports and a label of namespaces."""

from __future__ import annotations

APP_ID = "multicluster.flomesh.io/dapr-app-id"
"""Annotation of a ServiceExport: the app-id by which Dapr apps of other clusters call the service."""
INVOKE = {"multicluster.flomesh.io/dapr-invoke": "sidecar"}
"""Annotation of a ServiceExport: requests of other clusters reach the app through a Dapr sidecar."""
CALLERS = {"multicluster.flomesh.io/dapr-callers": "true"}
"""Label of a namespace whose Dapr apps call imported services by app-id."""
