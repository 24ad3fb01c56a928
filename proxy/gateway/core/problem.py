"""What is wrong with an object, said so that it can be shown to its owner."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something in an object that cannot be routed as written. Everything else keeps working."""

    kind: str
    namespace: str
    name: str
    reason: str
    """CamelCase word fit for a status condition's reason."""
    message: str
    """What is wrong, where, and what to give instead, in one sentence fit for a condition's message."""
