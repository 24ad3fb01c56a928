"""Whether an export is published north-south at all, or is served between clusters alone."""

from __future__ import annotations

from typing import Any

from gateway.core.fields import FieldError
from gateway.core.objects import Object, meta, section

PUBLISHED = "multicluster.flomesh.io/published"
"""Annotation of an export: `false` keeps it between clusters. Ours: the schema has no field."""

BETWEEN = "published between clusters alone: at no path and no host north-south, nor at the front door"


def is_published(raw: Object) -> bool:
    """Whether it has paths, and hosts, for the outside. What cannot be read keeps it inside."""
    return _said(raw) in (None, "true")


def check_published(raw: Object) -> None:
    """FieldError when what it says is neither true nor false."""
    said = _said(raw)
    if said not in (None, "true", "false"):
        message = f"annotation {PUBLISHED} is {said!r}, and counts as false: give 'true' or 'false'"
        raise FieldError("InvalidPublished", message[:300])


def _said(raw: Object) -> Any:
    return section(meta(raw), "annotations").get(PUBLISHED)
