"""Secrets in the settings: what must be encrypted in the stack's file, and what cannot be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import SecretStr

from stacks.config.model import Settings
from stacks.config.pods import Value
from stacks.config.problem import Problem, SettingsError

SECRET_KEY = "redisPassword"  # noqa: S105 - the name of a key, not a password
CLEAR = "is in clear text in the stack's file"
SHOWN = "is encrypted in the stack's file, but previews and the state show it"
ENCRYPTED = "encrypted-by-pulumi"
"""Stands for a value that Pulumi has encrypted; long enough to be a valid password."""


def refuse_clear_text(*, secret: bool, value: object) -> None:
    """SettingsError when the password of Redis is given, and not as a secret."""
    if value and not secret:
        hint = f"Remove it and run `pulumi config set --secret {SECRET_KEY}`."
        raise SettingsError([Problem(SECRET_KEY, "(secret)", CLEAR, hint)])


def refuse_clear_secrets(settings: Settings, is_clear: Callable[[str, str], bool]) -> None:
    """SettingsError when a secret inside of objects and lists is in clear text.

    `is_clear` gets the key of the settings and the text of a secret somewhere below it.
    """
    problems = []
    for path, value in _secrets(settings):
        if is_clear(path.partition("[")[0].partition(".")[0], value.get_secret_value()):
            hint = f"Remove it and run `pulumi config set --secret --path '{path}'`."
            problems.append(Problem(path, "(secret)", CLEAR, hint))
    if problems:
        raise SettingsError(problems)


def refuse_shown_secrets(settings: Settings, config: Mapping[str, Any]) -> None:
    """SettingsError when the stack's file encrypts what previews and the state show."""
    kept = {SECRET_KEY, *(path for path, _ in _secrets(settings))}
    problems = []
    for path in _encrypted("", config):
        if path not in kept:
            takes_secrets = re.search(r"\.(?:env|metadata)\.[^.]+$", path)
            hint = f"Encrypt `{path}.secret` instead." if takes_secrets else "Give it in clear text."
            problems.append(Problem(path, "(secret)", SHOWN, hint))
    if problems:
        raise SettingsError(problems)


def _encrypted(path: str, value: object) -> Iterator[str]:
    """The paths of encrypted values, written as `_secrets` writes them."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _encrypted(f"{path}[{index}]", item)
    elif isinstance(value, dict) and set(value) == {"secure"}:
        yield path
    elif isinstance(value, dict):
        for name, item in value.items():
            last = f'["{name}"]' if path.endswith(".secretValues") else f".{name}"
            yield from _encrypted(f"{path}{last}".lstrip("."), item)


def _secrets(settings: Settings) -> Iterator[tuple[str, SecretStr]]:
    """The secrets inside of objects and lists, each with its path."""
    values: dict[str, Value] = {}
    for index, app in enumerate(settings.apps):
        parts = [("", app), *((f".overrides.{name}", pod) for name, pod in app.overrides.items())]
        for part, pod in parts:
            values |= {f"apps[{index}]{part}.env.{name}": value for name, value in pod.env.items()}
            for name, secret in (pod.chart.secret_values if pod.chart is not None else {}).items():
                yield f'apps[{index}]{part}.chart.secretValues["{name}"]', secret
    for index, component in enumerate(settings.dapr.components):
        path = f"dapr.components[{index}].metadata"
        values |= {f"{path}.{name}": value for name, value in component.metadata.items()}
    for path, value in values.items():
        if value.secret is not None:
            yield f"{path}.secret", value.secret


def without_secrets(value: object) -> object:
    """The value with `ENCRYPTED` in place of all that Pulumi has encrypted."""
    if isinstance(value, dict):
        return (
            ENCRYPTED
            if set(value) == {"secure"}
            else {key: without_secrets(item) for key, item in value.items()}
        )
    return [without_secrets(item) for item in value] if isinstance(value, list) else value
