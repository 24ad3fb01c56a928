"""Detailed diffs: which paths changed, how, and which of them force a replacement."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from airgap.plugins.base.values import SIGNATURE, UNKNOWN, Path, Secret

Change = Literal["add", "delete", "update"]

_QUOTED = re.compile(r"[.\[\]\"]")


@dataclass
class Diff:
    """A provider's answer: changed paths and the paths among them that need a replacement."""

    changes: dict[Path, Change] = field(default_factory=dict)
    replaces: set[Path] = field(default_factory=set)
    delete_before_replace: bool = False


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


def compare(old: Any, new: Any, *, secrecy: bool = False, path: Path = ()) -> dict[Path, Change]:
    """Changed paths from `old` to `new`; objects by key, lists by index, a whole added or removed part once.

    With `secrecy` a value that became secret, or stopped being it, has changed.
    """
    if secrecy and isinstance(old, Secret) != isinstance(new, Secret):
        return {path: "update"}
    old = old.value if isinstance(old, Secret) else old
    new = new.value if isinstance(new, Secret) else new
    changes: dict[Path, Change] = {}
    if isinstance(old, list) and isinstance(new, list):
        old, new = dict(enumerate(old)), dict(enumerate(new))
    elif not (_is_object(old) and _is_object(new)):
        unequal = old != new or isinstance(old, bool) != isinstance(new, bool)
        return {path: "update"} if unequal or new is UNKNOWN else {}
    for part in {**old, **new}:
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


def top_level(changes: dict[Path, Change]) -> dict[Path, Change]:
    """The changes by the name of their property; what changed inside one is an update of it."""
    return {path[:1]: change if len(path) == 1 else "update" for path, change in changes.items()}
