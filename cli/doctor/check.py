"""One finding."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """What was looked at, how it is, what was seen, and what to do when it is not fine.

    `group` is machine, platform or path. For a path `broken` names its first broken hop.
    """

    group: str
    name: str
    verdict: Verdict
    seen: str
    hint: str = ""
    broken: str = ""

    def as_json(self) -> dict[str, Any]:
        """For machines; what is empty is left out."""
        fields = {"group": self.group, "name": self.name, "verdict": self.verdict, "seen": self.seen}
        extra = {"broken": self.broken, "hint": self.hint}
        return fields | {name: value for name, value in extra.items() if value}


def failed(checks: Iterable[Check]) -> list[Check]:
    """Those that failed."""
    return [check for check in checks if check.verdict == "fail"]


def as_json(checks: Iterable[Check]) -> dict[str, Any]:
    """All checks for machines."""
    listed = list(checks)
    return {"healthy": not failed(listed), "checks": [check.as_json() for check in listed]}
