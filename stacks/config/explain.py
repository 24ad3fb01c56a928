"""What the model says of a value, in words of this project: where it stands, why it cannot be, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from stacks.config.model import Settings
from stacks.config.problem import Problem

Location = tuple[int | str, ...]

# Messages for types of pydantic's errors; others keep pydantic's.
_REASONS = {
    "int_parsing": "not a whole number",
    "int_type": "not a whole number",
    "bool_parsing": "not true or false",
    "bool_type": "not true or false",
    "string_type": "not a text",
    "string_too_short": "empty",
    "tuple_type": "not a list",
    "model_type": "not a mapping of keys",
    "too_short": "needs at least {min_length} entry",
    "too_long": "has more than {max_length} entries",
    "string_too_long": "longer than {max_length} characters",
    "greater_than_equal": "less than {ge}",
    "less_than_equal": "more than {le}",
}


def mistakes(error: ValidationError) -> list[ErrorDetails]:
    """What the model refuses; a list that is too short only for its faulty entries is none."""
    found = error.errors()
    return [details for details in found if not _only_follows(details, found)]


def problem(details: ErrorDetails) -> Problem:
    """A mistake as people are told it."""
    location = details["loc"]
    path, about = path_of(location), _about(location)
    error, context = details["type"], details.get("ctx") or {}
    value: object = "(secret)" if _is_secret(path) else details["input"]
    if error == "extra_forbidden":
        close = guess(location)
        hint = f"Did you mean {close}?" if close else f"Choose from: {', '.join(_keys_beside(location))}."
        return Problem(path, None, "unknown key", hint)
    if error == "missing":
        return Problem(path, None, "missing", f"Set it: {about}")
    if error == "literal_error":
        return Problem(path, value, "not one of the choices", f"Choose {context['expected']}.")
    if error == "string_pattern_mismatch":
        return Problem(path, value, f"does not have the form {context['pattern']}", f"It is: {about}")
    if error == "value_error":
        return Problem(path, value, str(context["error"]), f"It is: {about}")
    shown = None if isinstance(value, (dict, list)) else value
    reason = _REASONS.get(error, details["msg"][:1].lower() + details["msg"][1:]).format_map(context)
    return Problem(path, shown, reason, f"It is: {about}")


def _is_secret(path: str) -> bool:
    return path.startswith("redisPassword") or path.endswith(".secret") or ".secretValues." in path


def path_of(location: Location) -> str:
    """A location as people write it, such as `clusters[1].apiPort`."""
    parts = [
        part for part in location if part != "[key]"
    ]  # pydantic's word for a key that is at fault itself
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")


def field_at(location: Location) -> FieldInfo | None:
    """The field that a location ends in, of an entry that of its list; None where the model has none."""
    section: type[BaseModel] | None = Settings
    field = None
    for part in location:
        if isinstance(part, str):
            field = _field(section, part) if section else None
            section = section_of(field) if field else None
    return field


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The settings section that a field holds: itself, in a list, or optional."""
    return _section(field.annotation)


def guess(location: Location) -> str | None:
    """The key that an unknown one was probably meant to be."""
    close = difflib.get_close_matches(str(location[-1]), _keys_beside(location), n=1)
    return close[0] if close else None


def _only_follows(details: ErrorDetails, found: Sequence[ErrorDetails]) -> bool:
    location = details["loc"]
    return details["type"] == "too_short" and any(
        len(other["loc"]) > len(location) and other["loc"][: len(location)] == location for other in found
    )


def _about(location: Location) -> str:
    """What the model says about the key, or else about the one around it."""
    for end in range(len(location), 0, -1):
        field = field_at(location[:end])
        if field is not None and field.description:
            return field.description
    return "see README."


def _keys_beside(location: Location) -> list[str]:
    around = field_at(location[:-1])
    section = (section_of(around) if around else None) or Settings
    return [str(field.alias) for field in section.model_fields.values()]


def _field(section: type[BaseModel], alias: str) -> FieldInfo | None:
    return next((field for field in section.model_fields.values() if field.alias == alias), None)


def _section(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section(part))), None)
