"""A user's first hour: an `up` that is killed, one that finishes, one that changes nothing, the demo."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from e2e.commands import ENVIRONMENT, ROOT, killed_up, stack, state_folder
from e2e.tls_mesh import eventually

pytestmark = pytest.mark.e2e


def test_a_command_for_an_unknown_environment_names_those_there_are() -> None:
    printed = stack("up", "nowhere", code=2)
    assert "unknown environment 'nowhere'" in printed
    assert "dev" in printed


def test_an_up_killed_half_way_leaves_a_state_the_next_up_repairs(clean_machine: None) -> None:
    killed_up()
    assert state_folder().exists()


def test_up_brings_everything_up(brought_up: str) -> None:
    assert "Where the time went" in brought_up


def test_a_second_up_changes_nothing(platform: dict[str, str]) -> None:
    printed = stack("up", ENVIRONMENT)
    summary = printed[printed.rindex("Resources:") :]
    assert re.search(r"\d+ unchanged", summary), summary
    assert not re.search(r"[+~-]\s*\d+ (created|updated|deleted|replaced)|\d+ to (create|update)", summary), (
        summary
    )


def test_a_new_environment_goes_over_to_mutual_tls_alone_by_itself(platform: dict[str, str]) -> None:
    def pairs() -> list[tuple[str, bool]]:
        shown = subprocess.run(
            [str(ROOT / "stack"), "status", ENVIRONMENT, "--kind", "between", "--json"],
            capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip
        return [(pair["over"], pair["plain"]) for pair in json.loads(shown)["between"]]

    eventually(
        lambda: set(pairs()) == {("mutual TLS", False)}, "no gateway is asked, or serves, in another way"
    )


def test_the_demo_sees_what_the_article_says(platform: dict[str, str], tmp_path: Path) -> None:
    table = tmp_path / "demo.json"
    stack("demo", ENVIRONMENT, "--json", str(table))
    result = json.loads(table.read_text())
    assert result["passed"], result
    assert len(result["rows"]) >= 10, "the walk has ten checked steps"


def test_no_secret_is_readable_in_the_state(platform: dict[str, str]) -> None:
    outputs = subprocess.run(
        ["pulumi", "stack", "output", "--json", "--show-secrets"],
        env=platform, cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    kubeconfigs = json.loads(outputs)["kubeconfigs"]
    keys = {match for text in kubeconfigs.values() for match in re.findall(r"client-key-data: (\S+)", text)}
    assert keys, "the kubeconfigs carry client keys"
    for path in state_folder().rglob("*.json*"):
        text = path.read_text()
        assert not any(key in text for key in keys), f"a client key stands in clear in {path}"
