"""Header matches of exports and policies: which requests go to a target first.

No `from __future__ import annotations` here: the SDK reads the annotations to make the package's schema.
"""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi


class HeaderMatch(TypedDict):
    """A header that a request must have, in the words of Gateway API."""

    name: pulumi.Input[str]
    """Name of the header, in any case."""
    value: pulumi.Input[str]
    """Its value, or a pattern (RE2) for all of it."""
    type: NotRequired[pulumi.Input[str]]
    """How the value is compared: Exact or RegularExpression. Default: Exact."""


class RequestMatch(TypedDict):
    """Requests that go to a target first, whatever its weight."""

    headers: Sequence[HeaderMatch]
    """What they all must have, sixteen at most."""
