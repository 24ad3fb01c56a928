"""Annotations whose value is JSON: what an object says for which its schema has no field."""

from __future__ import annotations

import json
from typing import Any

from gateway.core.fields import FieldError
from gateway.core.objects import Object, meta, section

MOST_CHARACTERS = 16 * 1024
"""Of one annotation. Longer ones are not read: a tenant may write 256 KiB."""
SHOWN = 200
"""Characters of a wrong value that are said again."""


def read_json(raw: Object, name: str, reason: str) -> Any:
    """What an annotation of an object says, None without it. FieldError with `reason` when it is no JSON."""
    said = section(meta(raw), "annotations").get(name)
    if said is None:
        return None
    if not isinstance(said, str) or len(said) > MOST_CHARACTERS:
        raise FieldError(reason, f"annotation {name} is not text of at most {MOST_CHARACTERS} characters")
    try:
        return json.loads(said)
    except (ValueError, RecursionError) as error:
        raise FieldError(reason, f"annotation {name} is {said[:SHOWN]!r}, which is not JSON") from error


def only(entry: Any, names: frozenset[str], where: str, reason: str) -> Object:
    """`entry` as a mapping with these keys and no others: a misspelt one must not pass for none."""
    if not isinstance(entry, dict):
        raise FieldError(reason, f"{where} is {shown(entry)}: give a mapping of {', '.join(sorted(names))}")
    if unknown := sorted(entry.keys() - names):
        message = f"{where} has {shown(unknown[0])}, which has no meaning: give {', '.join(sorted(names))}"
        raise FieldError(reason, message)
    return entry


def shown(value: Any) -> str:
    """A value as a message may repeat it."""
    return repr(value)[:SHOWN]
