"""Loading of settings: parse, default, check, freeze; every mistake in one message.

`parse` needs no engine, so ./stack checks Pulumi.<env>.yaml before anything runs; `load_settings` is for
the program.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ValidationError

from stacks.config import explain, secrets
from stacks.config.checks import CHECKS
from stacks.config.defaults import completed
from stacks.config.model import Settings
from stacks.config.problem import Problem, SettingsError
from stacks.config.secrets import SECRET_KEY
from stacks.config.sound import Sound, sound_part

PROJECT = "multicluster-dapr"

_FIELDS = {str(field.alias): name for name, field in Settings.model_fields.items()}


def parse(config: Mapping[str, Any]) -> Settings:
    """Settings from configuration keys without their project prefix.

    Values of lists and objects may be JSON text, as the engine hands them over.
    Raises SettingsError with every problem found.
    """
    given = {key: _decoded(value) for key, value in config.items() if value is not None}
    problems: list[Problem] = []
    try:
        sound = Sound(Settings.model_validate(given))
    except ValidationError as error:
        problems += map(explain.problem, explain.mistakes(error))
        # What is valid on its own is still checked against the rest, so that one run shows every problem.
        sound = sound_part(given, error)
    sound = replace(sound, settings=completed(sound.settings))
    read = {name for alias, name in _FIELDS.items() if alias not in sound.broken}
    for check, reads in CHECKS:
        if reads <= read:
            problems += filter(None, map(sound.problem, check(sound.settings)))
    if problems:
        raise SettingsError(problems)
    return sound.settings


def parse_stack_file(document: Mapping[str, Any]) -> Settings:
    """Settings from a loaded Pulumi.<env>.yaml. Encrypted values count as given."""
    config = {
        key.removeprefix(f"{PROJECT}:"): value
        for key, value in (document.get("config") or {}).items()
        if key.startswith(f"{PROJECT}:") or ":" not in key
    }
    secrets.refuse_clear_text(secret=isinstance(config.get(SECRET_KEY), dict), value=config.get(SECRET_KEY))
    settings = parse({key: secrets.without_secrets(value) for key, value in config.items()})
    secrets.refuse_clear_secrets(settings, lambda _, text: text != secrets.ENCRYPTED)
    secrets.refuse_shown_secrets(settings, config)
    return settings


def load_settings() -> Settings:
    """Settings of the stack being run, from the engine's configuration."""
    import pulumi  # noqa: PLC0415  a quarter of a second, which the commands do without

    engine = pulumi.runtime.config
    everything: dict[str, Any] = {**engine.get_config_env(), **engine.CONFIG.get()}
    prefix = f"{PROJECT}:"
    config = {key.removeprefix(prefix): value for key, value in everything.items() if key.startswith(prefix)}
    encrypted = {*engine.get_config_secret_keys_env()} | {
        key for key in everything if engine.is_config_secret(key)
    }
    secrets.refuse_clear_text(secret=f"{prefix}{SECRET_KEY}" in encrypted, value=config.get(SECRET_KEY))
    settings = parse(config)
    secrets.refuse_clear_secrets(settings, lambda key, _: f"{prefix}{key}" not in encrypted)
    return settings


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


def _decoded(value: object) -> object:
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value
    return value
