"""What the pods of all demo apps may do: as `restricted` pods, and nothing in the API of Kubernetes."""

from __future__ import annotations

from typing import Any

from components.pod_security import POD_SECURITY


def for_injector(*, token: bool) -> dict[str, str]:
    """Annotations for Dapr's injector. Without a token a sidecar reads no Secrets itself.

    Dapr's operator reads those that components name.
    """
    return {} if token else {"dapr.io/disable-builtin-k8s-secret-store": "true"}


def security(*, token: bool) -> dict[str, Any]:
    """Fields of the pod's spec. `token` lets it have the ServiceAccount's own.

    A sidecar shows Sentry a token that the injector adds; the article's Dapr has no other than the account's.
    """
    return {"securityContext": POD_SECURITY, **({} if token else {"automountServiceAccountToken": False})}
