"""Annotations that pods of several components have."""

from __future__ import annotations

DIGEST_ANNOTATION = "multicluster-dapr/image-digest"
"""The content of the image that runs, in full."""
