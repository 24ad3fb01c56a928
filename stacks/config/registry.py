"""The login to the registry of the images built here, which nodes of clusters that exist pull with."""

from __future__ import annotations

import json
from pathlib import Path

from stacks.config.model import Settings
from stacks.config.problem import Problem, SettingsError

WHERE = "images.dockerConfig"


def login(settings: Settings) -> str | None:
    """A Docker configuration (a secret) with the login to that registry alone; None when none is wanted.

    Raises SettingsError when the file has none.
    """
    named, registry = settings.images.docker_config, settings.images.registry
    if named is None:
        return None
    host = registry.partition("/")[0]
    try:
        content = json.loads(Path(named).expanduser().read_text())
        entry = content["auths"][host]
    except OSError as error:
        raise _problem(named, f"cannot be read: {error.strerror}", "Write the path of the file.") from error
    except (ValueError, TypeError):
        raise _problem(named, "is not Docker's JSON", "See what `docker login` writes.") from None
    except KeyError as error:
        hint = f"Run `docker login {host}`, or leave it out where nodes pull without."
        raise _problem(named, f"has no login to {host}", hint) from error
    if not isinstance(entry, dict) or not entry.get("auth"):
        hint = (
            f"Write a file with the login itself: `DOCKER_CONFIG=FOLDER docker login {host}` with no helper."
        )
        raise _problem(named, f"keeps the login to {host} in a credential helper of this machine", hint)
    return json.dumps({"auths": {host: {"auth": entry["auth"]}}})


def _problem(value: str, reason: str, hint: str) -> SettingsError:
    return SettingsError([Problem(WHERE, value, reason, hint)])
