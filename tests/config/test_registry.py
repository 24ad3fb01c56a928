"""The login to the registry that nodes pull with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from config.environments import read_environment

from stacks.config import loading, registry
from stacks.config.problem import SettingsError


def asked(path: Path | None) -> str | None:
    config: dict[str, Any] = {**read_environment("existing"), "redisPassword": "a-password-of-theirs"}
    config["images"]["dockerConfig"] = None if path is None else str(path)
    return registry.login(loading.parse(config))


def test_nobody_logs_in_unless_it_is_said() -> None:
    assert asked(None) is None


def test_the_login_to_this_registry_alone_is_taken(tmp_path: Path) -> None:
    logins = {"registry.example.org": {"auth": "eDp5"}, "other": {"auth": "ejp6"}}
    (tmp_path / "c").write_text(json.dumps({"auths": logins, "credsStore": ""}))
    found = asked(tmp_path / "c")
    assert found is not None
    assert json.loads(found) == {"auths": {"registry.example.org": {"auth": "eDp5"}}}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        ("{", "is not Docker's JSON"),
        ("[]", "is not Docker's JSON"),
        ("{}", "has no login to registry.example.org"),
        ('{"auths": {}}', "Run `docker login registry.example.org`"),
        ('{"auths": {"registry.example.org": {}}}', "in a credential helper of this machine"),
        ('{"auths": {"registry.example.org": 3}}', "in a credential helper of this machine"),
    ],
)
def test_a_file_without_it_is_named_and_not_quoted(tmp_path: Path, content: str | None, reason: str) -> None:
    if content is not None:
        (tmp_path / "c").write_text(content)
    with pytest.raises(SettingsError) as caught:
        asked(tmp_path / "c")
    (problem,) = caught.value.problems
    assert problem.path == "images.dockerConfig"
    assert reason in str(problem)
