"""The state of a backend of ours is read as a file, and only where the engine wrote it as we know it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli import own_backend

LATEST = {"resources": [{"urn": "urn:pulumi:dev::multicluster-dapr::a:b:C::one"}]}


def written(backend: Path, content: Any) -> None:
    file = backend / ".pulumi" / "stacks" / "multicluster-dapr" / "dev.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))


def test_the_state_is_said_as_an_export_says_it(tmp_path: Path) -> None:
    written(tmp_path, {"version": 4, "features": ["views"], "checkpoint": {"stack": "s", "latest": LATEST}})
    assert own_backend.has(tmp_path, "dev")
    assert own_backend.state(tmp_path, "dev") == {"version": 4, "features": ["views"], "deployment": LATEST}


def test_a_stack_that_was_never_up_has_nothing(tmp_path: Path) -> None:
    written(tmp_path, {"version": 3, "checkpoint": {"latest": None}})
    assert own_backend.state(tmp_path, "dev") == {"version": 3, "deployment": {}}


@pytest.mark.parametrize(
    "content", ["", "[]", "null", '{"version": 3}', '{"checkpoint": null}', '{"checkpoint": {}}']
)
def test_what_is_written_otherwise_is_left_to_pulumi(content: str, tmp_path: Path) -> None:
    written(tmp_path, content)
    assert own_backend.state(tmp_path, "dev") is None


def test_another_environment_is_not_there(tmp_path: Path) -> None:
    written(tmp_path, {"version": 3, "checkpoint": {"latest": LATEST}})
    assert not own_backend.has(tmp_path, "scale")
    assert own_backend.state(tmp_path, "scale") is None
