"""How doctor shows what it found."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import yaml
from platforms.world import CONFIG
from rich.console import Console

from airgap.report import Report
from cli.doctor import command
from cli.doctor.check import Check, as_json, failed
from cli.doctor.command import lines
from cli.doctor.machine import Machine
from cli.errors import UserError
from cli.paths import Paths
from stacks.config.loading import parse
from stacks.config.problem import Problem

GOOD = Check(group="machine", name="disk", result="ok", seen="58 GiB free")
BROKEN = Check(
    group="path", name="cluster-2 → a/b", result="fail", seen="scaled to zero", hint="kubectl scale",
    broken="gateway",
)  # fmt: skip


def test_a_broken_path_is_one_line_with_its_hop_and_one_with_what_to_do() -> None:
    printed = list(lines([GOOD, BROKEN], "dev"))
    assert printed[-4].endswith("cluster-2 → a/b: broken at gateway: scaled to zero")
    assert printed[-3].strip() == "→ kubectl scale"
    assert printed[-2].endswith('eval "$(./stack env dev)"'), "where kubectl comes from"
    assert "1 of 2 checks fail" in printed[-1]


def test_a_healthy_machine_ends_with_one_good_line() -> None:
    assert list(lines([GOOD], "dev"))[-1] == "All 1 checks pass."


def test_brackets_in_what_was_seen_are_shown_and_no_markup() -> None:
    check = Check(group="machine", name="settings", result="ok", seen="see [red] in clusters")
    console = Console(file=io.StringIO(), width=200)
    for line in lines([check], "dev"):
        console.print(line)
    assert isinstance(console.file, io.StringIO)
    assert "see [red] in clusters" in console.file.getvalue()


def test_json_says_whether_all_is_well_and_leaves_out_what_is_empty() -> None:
    found = as_json([GOOD, BROKEN])
    assert found["healthy"] is False
    assert found["checks"][0] == {"group": "machine", "name": "disk", "result": "ok", "seen": "58 GiB free"}
    assert (found["checks"][1]["broken"], found["checks"][1]["hint"]) == ("gateway", "kubectl scale")


def examined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: Machine) -> list[Check]:
    """The checks of an environment that is not up, on a machine that was surveyed before."""
    config = {} if machine.settings is None else CONFIG
    (tmp_path / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": config}))
    monkeypatch.setattr(command, "survey", lambda *_: machine)
    paths = Paths(root=tmp_path, cache=tmp_path / "cache", state=tmp_path / "state")
    return command.examine(paths, "dev", Report(Console(file=io.StringIO())))


def test_before_up_the_clusters_are_a_line_that_says_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = examined(tmp_path, monkeypatch, Machine(environment="dev", settings=parse(CONFIG)))
    assert checks[-1].seen == "not up: clusters and paths are looked at after ./stack up dev"
    assert checks[-1].result == "ok"


def test_with_wrong_settings_nothing_is_said_of_clusters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = Problem("clusters", None, "missing", "Set it.")
    checks = examined(tmp_path, monkeypatch, Machine(environment="dev", settings=None, problems=(problem,)))
    assert {check.group for check in checks} == {"machine"}
    assert failed(checks)[0].seen == "Pulumi.dev.yaml: clusters: missing"


def test_an_unknown_environment_is_refused(tmp_path: Path) -> None:
    paths = Paths(root=tmp_path, cache=tmp_path / "cache", state=tmp_path / "state")
    with pytest.raises(UserError, match="unknown environment 'nowhere'"):
        command.examine(paths, "nowhere", Report(Console(file=io.StringIO())))
