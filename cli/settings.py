"""The effective configuration of an environment.

The repository's Pulumi.<env>.yaml is not written to (but see `take_back_salt`): what Pulumi adds (the salt of
the secrets) and what a command overrides for a while (the demo's policies) live in a copy beside the state.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from cli.errors import UserError
from cli.paths import PROJECT, Paths

SALT = "encryptionsalt"


def environments(paths: Paths) -> list[str]:
    """Names of the environments this repository has."""
    return sorted(path.name.split(".")[1] for path in paths.root.glob("Pulumi.*.yaml"))


def source_file(paths: Paths, environment: str) -> Path:
    """The user's file of this environment. Raises UserError naming those there are."""
    path = paths.root / f"Pulumi.{environment}.yaml"
    if not path.exists():
        known = ", ".join(environments(paths)) or "none"
        raise UserError(
            f"unknown environment {environment!r}: there is no {path.name}. Known: {known}.", code=2
        )
    return path


def effective_file(paths: Paths, environment: str) -> Path:
    """The merged copy the engine reads."""
    return paths.environment(environment) / f"Pulumi.{environment}.yaml"


def read(path: Path) -> dict[str, Any]:
    """A stack file as a mapping with `config`. Raises UserError with the line of a syntax error."""
    try:
        loaded = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {error}", code=2) from error
    if not isinstance(loaded, dict) or not isinstance(loaded.get("config") or {}, dict):
        raise UserError(f"{path} must be a mapping with a `config` mapping in it.", code=2)
    loaded["config"] = loaded.get("config") or {}
    return loaded


def refresh(paths: Paths, environment: str, overrides: dict[str, Any] | None = None) -> Path:
    """Rewrite the effective file: the user's file, Pulumi's own keys of the last run, the overrides."""
    merged = read(source_file(paths, environment))
    target = effective_file(paths, environment)
    if target.exists():
        for key, value in read(target).items():
            if key in (SALT, "secretsprovider", "encryptedkey"):
                merged.setdefault(key, value)
    for key, value in (overrides or {}).items():
        merged["config"][f"{PROJECT}:{key}"] = value
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = target.with_suffix(".new")
    fresh.write_text(yaml.safe_dump(merged, sort_keys=False))
    fresh.replace(target)
    return target


def refuse_lost_salt(paths: Paths, environment: str, passphrase: Path) -> None:
    """Raise UserError when the user's file is salted for a passphrase that is not here."""
    source = source_file(paths, environment)
    if SALT in read(source):
        raise UserError(
            f"{source.name} has an {SALT}, but {passphrase}, which it belongs to, is not there: it goes with "
            f"./stack destroy. Remove the line, and set the secrets in the file again; or set "
            "PULUMI_CONFIG_PASSPHRASE if you know the passphrase.",
            code=2,
        )


def take_back_salt(paths: Paths, environment: str) -> None:
    """Remove the salt that plain `pulumi` has written to the user's file, when nothing there needs it."""
    source, effective = source_file(paths, environment), effective_file(paths, environment)
    salt = read(effective).get(SALT) if effective.exists() else None
    text = source.read_text()
    if salt and read(source).get(SALT) == salt and "secure:" not in text:
        source.write_text(text.replace(f"{SALT}: {salt}\n", ""))
