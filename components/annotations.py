"""Annotations that pods of several components have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DIGEST_ANNOTATION = "multicluster-dapr/image-digest"
"""The content of the image that runs, in full."""


def version_of(metadata: Mapping[str, Any]) -> str:
    """A value that changes with an object, of its metadata; empty in a preview that cannot know it."""
    return str(metadata.get("resource_version") or "")
