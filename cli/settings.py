"""The effective configuration of an environment.

The repository's Pulumi.<env>.yaml stays as its owner wrote it: what Pulumi adds (the salt of the secrets),
what `pulumi config set` changes, and what a command overrides for a while (the demo's policies) live in a
copy beside the state. The copy is made from the user's file before each run of the engine, also of plain
`pulumi` in a shell of the environment (cli/plain.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cli.errors import UserError
from cli.paths import PROJECT, Paths
from stacks.config import documents

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
        loaded = documents.load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {error}", code=2) from error
    if not isinstance(loaded, dict) or not isinstance(loaded.get("config") or {}, dict):
        raise UserError(f"{path} must be a mapping with a `config` mapping in it.", code=2)
    loaded["config"] = loaded.get("config") or {}
    return loaded


def merged(paths: Paths, environment: str) -> dict[str, Any]:
    """The user's file with what plain `pulumi` changed in the copy: what the engine works with."""
    return _merged(paths, environment)[0]


def refresh(paths: Paths, environment: str, overrides: Mapping[str, Any] | None = None) -> Path:
    """Rewrite the effective file: the user's file, what Pulumi changed since the last time, the overrides."""
    document, changes = _merged(paths, environment)
    for key, value in (overrides or {}).items():
        document["config"][f"{PROJECT}:{key}"] = value
    target = effective_file(paths, environment)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # First what is known as ours, both before and after: a run that is killed between the two leaves nothing
    # that would look like a change of the user's.
    written = [read(target)["config"]] if target.exists() else []
    record = {"written": [*written, document["config"]], "changes": changes}
    _replace(_record_file(paths, environment), documents.dump(record))
    _replace(target, documents.dump(document))
    return target


def _merged(paths: Paths, environment: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The user's file with the changes made in the copy, and these changes: value by key, or null: removed.

    A change holds until the user's file says something else of its key than when the change was made.
    """
    document, target = read(source_file(paths, environment)), effective_file(paths, environment)
    if not target.exists():
        return document, {}
    copy, said = read(target), document["config"]
    record_file = _record_file(paths, environment)
    record = documents.load(record_file.read_text()) if record_file.exists() else {}
    changes: dict[str, Any] = record.get("changes") or {}
    written = record.get("written") or [copy["config"]]
    for key in {*copy["config"], *(key for one in written for key in one)}:
        value = copy["config"].get(key)
        if all(value != one.get(key) for one in written):
            changes[key] = {"value": value, "over": said.get(key)}
    changes = {key: change for key, change in changes.items() if change["over"] == said.get(key)}
    for key, change in changes.items():
        if change["value"] is None:
            said.pop(key, None)
        else:
            said[key] = change["value"]
    for key in (SALT, "secretsprovider", "encryptedkey"):
        if key in copy:
            document.setdefault(key, copy[key])
    return document, {key: change for key, change in changes.items() if change["value"] != change["over"]}


def _record_file(paths: Paths, environment: str) -> Path:
    return paths.environment(environment) / "configuration.yaml"


def _replace(target: Path, text: str) -> None:
    fresh = target.with_name(f"{target.name}.new")
    fresh.write_text(text)
    fresh.replace(target)


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
