"""Plain `pulumi` in a shell of `./stack env`: it works on a copy, made from the file as it is now."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from airgap.report import Report
from cli import plain, settings
from cli.engine import Engine
from cli.errors import UserError
from cli.paths import ROOT, Paths
from cli.toolchain import Toolchain

PULUMI = """#!/bin/sh
echo "ran: $@"
echo "from: $(cat "$PULUMI_OPTION_CONFIG_FILE")"
echo "collects at: $GOGC"
"""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    root = tmp_path / "repository"
    root.mkdir()
    (root / "Pulumi.dev.yaml").write_text("config: {multicluster-dapr:mirror: one}\n")
    takes = {"cli": ("__init__", "errors", "paths", "plain", "settings")}
    takes |= {"stacks": ("__init__",), "stacks/config": ("__init__", "documents")}
    for folder, names in takes.items():  # all that it takes
        (root / folder).mkdir()
        for name in names:
            shutil.copy(ROOT / folder / f"{name}.py", root / folder)
    return Paths(root=root, cache=tmp_path / "cache", state=tmp_path / "state" / "multicluster-dapr")


@pytest.fixture
def shell(paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables of a shell that read `./stack env dev`."""
    for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "pulumi").write_text(PULUMI)
    (tools / "pulumi").chmod(0o755)
    search = f"{tools}{os.pathsep}{os.environ['PATH']}"
    plain.install(paths, "dev", search)
    engine = Engine(Toolchain(paths=paths, mode="airgap", exports={"PATH": search}), "dev", Report())
    return {**os.environ, **engine.of_shells}


def run(shell: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["pulumi", *arguments], env=shell, capture_output=True, text=True, check=False)


def test_each_run_starts_from_the_file_as_it_is_now(
    paths: Paths, shell: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(shell, "config", "set", "a b")
    assert first.returncode == 0, first.stderr
    assert "ran: config set a b" in first.stdout
    assert "mirror: one" in first.stdout
    (paths.root / "Pulumi.dev.yaml").write_text("config: {multicluster-dapr:mirror: two}\n")
    assert "mirror: two" in run(shell, "up").stdout


def test_the_engine_collects_its_garbage_less_often_unless_the_user_says_when(shell: dict[str, str]) -> None:
    shell.pop("GOGC", None)
    assert "collects at: 400\n" in run(shell, "up").stdout
    assert "collects at: 50\n" in run({**shell, "GOGC": "50"}, "up").stdout


def test_a_file_that_cannot_be_read_stops_it(paths: Paths, shell: dict[str, str]) -> None:
    (paths.root / "Pulumi.dev.yaml").write_text("config: [")
    done = run(shell, "up")
    assert done.returncode == 2
    assert "not valid YAML" in done.stderr
    assert "ran" not in done.stdout


def test_a_shell_that_read_another_environment_is_of_the_last_one(
    paths: Paths, shell: dict[str, str]
) -> None:
    found = plain.search_path(paths, "prod", shell["PATH"]).split(os.pathsep)
    assert found[0] == str(paths.environment("prod") / "bin")
    assert str(paths.environment("dev") / "bin") not in found


def test_the_scripts_pulumi_is_never_itself(paths: Paths, shell: dict[str, str]) -> None:
    plain.install(paths, "dev", shell["PATH"])
    assert "ran: version" in run(shell, "version").stdout


def test_without_a_pulumi_there_is_nothing_to_run(paths: Paths, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"run ./stack up first"):
        plain.install(paths, "dev", str(tmp_path))


def test_the_copy_is_renewed_by_name(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Paths, "here", lambda: paths)
    monkeypatch.setattr("sys.argv", ["plain", "dev"])
    assert plain.main() == 0
    assert settings.effective_file(paths, "dev").exists()
    monkeypatch.setattr("sys.argv", ["plain", "prod"])
    assert plain.main() == 2
    assert "unknown environment 'prod'" in capsys.readouterr().err
