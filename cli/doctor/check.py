"""Results of a diagnosis: a finding for each hop of a path, a check for each thing with a name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Result = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """The result for one hop: how it is, what was seen, and what to do when it is not fine."""

    result: Result
    seen: str
    hint: str = ""


def ok(seen: str = "") -> Finding:
    """A hop that is fine."""
    return Finding("ok", seen)


def fail(seen: str, hint: str) -> Finding:
    """A hop that is broken."""
    return Finding("fail", seen, hint)


@dataclass(frozen=True, kw_only=True)
class Check:
    """The result for something that has a name of its own.

    `group` is machine, platform or path. For a path `broken` names its first broken hop.
    """

    group: str
    name: str
    result: Result
    seen: str
    hint: str = ""
    broken: str = ""

    def as_json(self) -> dict[str, Any]:
        """For machines; what is empty is left out."""
        fields = {"group": self.group, "name": self.name, "result": self.result, "seen": self.seen}
        extra = {"broken": self.broken, "hint": self.hint}
        return fields | {name: value for name, value in extra.items() if value}


def failed(checks: Iterable[Check]) -> list[Check]:
    """Those that failed."""
    return [check for check in checks if check.result == "fail"]


def as_json(checks: Iterable[Check]) -> dict[str, Any]:
    """All checks for machines."""
    listed = list(checks)
    return {"healthy": not failed(listed), "checks": [check.as_json() for check in listed]}
