"""Detailed diffs: which paths changed, how, and which of them force a replacement."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from airgap.plugins.base.values import SIGNATURE, UNKNOWN, Path, Secret

Change = Literal["add", "delete", "update"]

_QUOTED = re.compile(r"[.\[\]\"]")
_PATH_PART = re.compile(r"""\.?([^.\["\]]+)|\[(\d+|\*)\]|\["((?:[^"\\]|\\.)*)"\]""")


@dataclass
class Diff:
    """A provider's answer: changed paths and the paths among them that need a replacement."""

    changes: dict[Path, Change] = field(default_factory=dict)
    replaces: set[Path] = field(default_factory=set)
    delete_before_replace: bool = False

    def __bool__(self) -> bool:
        return bool(self.changes)


def format_path(path: Path) -> str:
    """A path as the engine writes it: `spec.containers[0].image`, `labels["a.b/c"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif not _QUOTED.search(part):
            text += f".{part}" if text else part
        else:
            escaped = part.replace('"', '\\"')
            text += f'["{escaped}"]'
    return text


def parse_path(text: str) -> Path:
    """The parts of an engine path; `*` stays a part of its own."""
    parts: list[str | int] = []
    for match in _PATH_PART.finditer(text):
        bare, index, quoted = match.groups()
        if bare is not None:
            parts.append(bare)
        elif index is not None:
            parts.append(index if index == "*" else int(index))
        else:
            parts.append(quoted.replace('\\"', '"'))
    return tuple(parts)


def contains(pattern: Path, path: Path) -> bool:
    """Whether `path` is at or below `pattern` (`*` in the pattern matches any one part)."""
    return len(path) >= len(pattern) and all(p in ("*", q) for p, q in zip(pattern, path, strict=False))


def compare(old: Any, new: Any, *, secrecy: bool = False, path: Path = ()) -> dict[Path, Change]:
    """Changed paths from `old` to `new`; objects by key, lists by index, a whole added or removed part once.

    With `secrecy` a value that became secret, or stopped being it, has changed.
    """
    if secrecy and isinstance(old, Secret) != isinstance(new, Secret):
        return {path: "update"}
    old = old.value if isinstance(old, Secret) else old
    new = new.value if isinstance(new, Secret) else new
    changes: dict[Path, Change] = {}
    if _is_object(old) and _is_object(new):
        parts: list[str | int] = [*old, *(key for key in new if key not in old)]
    elif isinstance(old, list) and isinstance(new, list):
        parts = list(range(max(len(old), len(new))))
        old, new = dict(enumerate(old)), dict(enumerate(new))
    else:
        unequal = old != new or isinstance(old, bool) != isinstance(new, bool)
        return {path: "update"} if unequal or new is UNKNOWN else {}
    for part in parts:
        here = (*path, part)
        if part not in new:
            changes[here] = "delete"
        elif part not in old:
            changes[here] = "add"
        else:
            changes |= compare(old[part], new[part], secrecy=secrecy, path=here)
    return changes


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and SIGNATURE not in value


def without_ignored(changes: dict[Path, Change], ignore_changes: Iterable[str]) -> dict[Path, Change]:
    """The changes that no ignoreChanges path covers."""
    patterns = [parse_path(text) for text in ignore_changes]
    return {
        path: change
        for path, change in changes.items()
        if not any(contains(pattern, path) for pattern in patterns)
    }
