"""Loading of settings: parse, default, check, freeze; every mistake in one message.

`parse` needs no engine, so ./stack checks Pulumi.<env>.yaml before anything runs; `load_settings` is for
the program.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any, get_args

import pulumi
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from stacks.config.checks import CHECKS
from stacks.config.model import Settings
from stacks.config.problem import Problem, SettingsError

PROJECT = "multicluster-dapr"
SECRET_KEY = "redisPassword"  # noqa: S105 - the name of a key, not a password
# Stands for a value that Pulumi has encrypted; long enough to be a valid password.
ENCRYPTED = "encrypted-by-pulumi"

# Messages for types of pydantic's errors; others keep pydantic's.
_REASONS = {
    "int_parsing": "not a whole number",
    "int_type": "not a whole number",
    "bool_parsing": "not true or false",
    "bool_type": "not true or false",
    "string_type": "not a text",
    "tuple_type": "not a list",
    "model_type": "not a mapping of keys",
    "too_short": "needs at least {min_length} entry",
    "too_long": "has more than {max_length} entries",
    "string_too_long": "longer than {max_length} characters",
    "greater_than_equal": "less than {ge}",
    "less_than_equal": "more than {le}",
}
_FIELDS = {str(field.alias): name for name, field in Settings.model_fields.items()}


def parse(config: Mapping[str, Any]) -> Settings:
    """Settings from configuration keys without their project prefix.

    Values of lists and objects may be JSON text, as the engine hands them over.
    Raises SettingsError with every problem found.
    """
    given = {key: _decoded(value) for key, value in config.items() if value is not None}
    problems: list[Problem] = []
    broken: set[str] = set()
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        problems += [_problem(details) for details in error.errors()]
        broken = {str(details["loc"][0]) for details in error.errors()}
        # What is valid on its own is still checked against the rest, so that one run shows every problem.
        sound = {key: value for key, value in given.items() if key not in broken}
        settings = Settings.model_validate({"clusters": [{"name": "invalid"}], **sound})
    sound_fields = {name for alias, name in _FIELDS.items() if alias not in broken}
    for check, reads in CHECKS:
        if reads <= sound_fields:
            problems += check(settings)
    if problems:
        raise SettingsError(problems)
    return settings


def parse_stack_file(document: Mapping[str, Any]) -> Settings:
    """Settings from a loaded Pulumi.<env>.yaml. Encrypted values count as given."""
    config = {
        key.removeprefix(f"{PROJECT}:"): value
        for key, value in (document.get("config") or {}).items()
        if key.startswith(f"{PROJECT}:") or ":" not in key
    }
    _refuse_clear_text(secret=isinstance(config.get(SECRET_KEY), dict), value=config.get(SECRET_KEY))
    return parse({key: _without_secrets(value) for key, value in config.items()})


def load_settings() -> Settings:
    """Settings of the stack being run, from the engine's configuration."""
    engine = pulumi.runtime.config
    everything: dict[str, Any] = {**engine.get_config_env(), **engine.CONFIG.get()}
    prefix = f"{PROJECT}:"
    config = {key.removeprefix(prefix): value for key, value in everything.items() if key.startswith(prefix)}
    secrets = {*engine.get_config_secret_keys_env()} | {
        key for key in everything if engine.is_config_secret(key)
    }
    _refuse_clear_text(secret=f"{prefix}{SECRET_KEY}" in secrets, value=config.get(SECRET_KEY))
    return parse(config)


def declared_keys() -> dict[str, dict[str, Any]]:
    """What Pulumi.yaml must declare under `config:`, from the model."""
    declared: dict[str, dict[str, Any]] = {}
    for alias, name in _FIELDS.items():
        field = Settings.model_fields[name]
        entry: dict[str, Any] = {"description": field.description}
        default = None if field.is_required() else _plain(field.default)
        if name == "redis_password":
            entry |= {"type": "string", "default": ""}  # `secret: true` would make it mandatory
        elif field.is_required() or isinstance(default, list):
            items = "string" if name == "bind_addresses" else "object"
            entry |= {"type": "array", "items": {"type": items}}
        else:
            entry["type"] = "object" if isinstance(default, dict) else "string"
        if default is not None:
            entry["default"] = default
        declared[alias] = entry
    return declared


def _plain(value: object) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    return list(value) if isinstance(value, tuple) else value


def _refuse_clear_text(*, secret: bool, value: object) -> None:
    if value and not secret:
        hint = f"Remove it and run `pulumi config set --secret {SECRET_KEY}`."
        raise SettingsError([Problem(SECRET_KEY, "(secret)", "is in clear text in the stack's file", hint)])


def _decoded(value: object) -> object:
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value
    return value


def _without_secrets(value: object) -> object:
    if isinstance(value, dict):
        return (
            ENCRYPTED
            if set(value) == {"secure"}
            else {key: _without_secrets(item) for key, item in value.items()}
        )
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value


def _problem(details: ErrorDetails) -> Problem:
    """The problem of a pydantic error: path, value, reason, hint."""
    path, about = _described(details["loc"])
    error, context = details["type"], details.get("ctx") or {}
    value: object = "(secret)" if path.startswith("redisPassword") else details["input"]
    if error == "extra_forbidden":
        return _unknown(path, details["loc"])
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


def _described(location: tuple[int | str, ...]) -> tuple[str, str]:
    """The key path of a finding as people write it, and what the model says about that key."""
    path, about = "", ""
    section: type[BaseModel] | None = Settings
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
            continue
        path += f".{part}" if path else part
        field = _field(section, part) if section else None
        about = field.description or about if field else about
        section = _section(field.annotation) if field else None
    return path, about or "see README."


def _field(section: type[BaseModel], alias: str) -> FieldInfo | None:
    return next((field for field in section.model_fields.values() if field.alias == alias), None)


def _section(annotation: Any) -> type[BaseModel] | None:
    """The settings section inside an annotation, if it holds one: itself, in a tuple, or optional."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section(part))), None)


def _unknown(path: str, location: tuple[int | str, ...]) -> Problem:
    section: type[BaseModel] | None = Settings
    for part in location[:-1]:
        if isinstance(part, str):
            field = _field(section, part) if section else None
            section = _section(field.annotation) if field else None
    keys = [str(field.alias) for field in (section or Settings).model_fields.values()]
    close = difflib.get_close_matches(str(location[-1]), keys, n=1)
    hint = f"Did you mean {close[0]}?" if close else f"Choose from: {', '.join(keys)}."
    return Problem(path, None, "unknown key", hint)
