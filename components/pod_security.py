"""What Kubernetes' `restricted` standard asks of pods, and what namespaces say of it."""

from __future__ import annotations

USER = 65532
POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}

STANDARD = "pod-security.kubernetes.io"
"""Begins the labels by which a namespace holds its pods to a standard."""
# Kubernetes itself refuses a pod there that could do more than ours need.
RESTRICTED = {f"{STANDARD}/enforce": "restricted"}
# Of apps: ours meet `restricted`. People who put others beside them are told when those do not, and refused
# when they reach for the node.
OF_APPS = {
    f"{STANDARD}/enforce": "baseline",
    f"{STANDARD}/warn": "restricted",
    f"{STANDARD}/audit": "restricted",
}
