"""Two clones of a team share one state: a backend and a passphrase that they have set, on the real engine."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from airgap.report import Report
from cli.engine import Engine
from cli.errors import UserError
from cli.paths import Paths
from cli.toolchain import Toolchain
from plugins.engine import REPOSITORY
from plugins.engine import Engine as RealEngine

pytestmark = pytest.mark.e2e

PROGRAM = f"""\
import sys
sys.path.insert(0, {str(REPOSITORY)!r})

import pulumi
import pulumi_command as command
from components.drawn_secret import draw

seconds = pulumi.Config().get_int("seconds") or 0
secret = draw("secret", "od -An -N8 -tx1 /dev/urandom", None)
command.local.Command("slow", create=f"sleep {{seconds}}", triggers=[seconds])
pulumi.export("secret", secret)
"""
PATIENCE = 60.0


class Clone:
    """A clone of the repository on a machine of its own, as far as ./stack can tell."""

    def __init__(self, folder: Path, exports: dict[str, str]) -> None:
        self.root = folder / "repository"
        self.root.mkdir(parents=True)
        (self.root / "Pulumi.yaml").write_text("name: multicluster-dapr\nruntime: python\n")
        (self.root / "__main__.py").write_text(PROGRAM)
        self.settings(0)
        paths = Paths(root=self.root, cache=folder / "cache", state=folder / "state" / "multicluster-dapr")
        self.engine = Engine(Toolchain(paths=paths, mode="airgap", exports=exports), "team", Report())

    def settings(self, seconds: int) -> None:
        text = f'config: {{"multicluster-dapr:seconds": "{seconds}"}}\n'
        (self.root / "Pulumi.team.yaml").write_text(text)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["pulumi", *arguments, "--stack", "team", "--non-interactive"], cwd=self.root,
            env=self.engine.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self, *arguments: str) -> str:
        process = self.start(*arguments)
        printed, _ = process.communicate(timeout=300)
        assert process.returncode == 0, printed
        return printed


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that both machines see, as a team would have a bucket."""
    folder = tmp_path / "shared"
    folder.mkdir()
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{folder}")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "that of the team")
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)
    return folder


@pytest.fixture
def clones(engine: RealEngine, backend: Path, tmp_path: Path) -> tuple[Clone, Clone]:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "docker").write_text("#!/bin/sh\n")  # nothing of this environment is in Docker
    (tools / "docker").chmod(0o755)
    own = {"PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE"}
    exports = {name: value for name, value in engine.environment.items() if name not in own}
    exports["PATH"] = f"{tools}{os.pathsep}{exports['PATH']}"
    made = [Clone(tmp_path / name, exports) for name in ("one", "two")]
    return made[0], made[1]


def test_the_second_clone_finds_what_the_first_has_made(clones: tuple[Clone, Clone], backend: Path) -> None:
    one, two = clones
    one.engine.ensure()
    one.engine.up_quietly()
    two.engine.ensure()
    assert "unchanged" in two.run("preview", "--expect-no-changes")
    secrets = {clone.engine.secret_output("secret") for clone in clones}
    assert len(secrets) == 1
    assert not any(secret in path.read_text() for secret in secrets for path in backend.rglob("*.json"))
    two.settings(1)
    before = (two.root / "Pulumi.team.yaml").read_bytes()
    two.engine.ensure()
    two.engine.up_quietly()
    assert (two.root / "Pulumi.team.yaml").read_bytes() == before, "the file is its owner's"
    one.settings(1)
    one.engine.ensure()
    one.run("preview", "--expect-no-changes")
    two.engine.destroy()
    assert not one.engine.exists(), "gone for both"


def test_two_ups_at_once_are_one_and_a_word_about_who_holds_the_lock(
    clones: tuple[Clone, Clone], backend: Path, capfd: Any
) -> None:
    one, two = clones
    one.settings(15)
    for clone in clones:
        clone.engine.ensure()
    running = one.start("up", "--yes", "--skip-preview")
    deadline = time.monotonic() + PATIENCE
    while not any((backend / ".pulumi" / "locks").rglob("*.json")):
        assert time.monotonic() < deadline
        assert running.poll() is None, running.communicate()
        time.sleep(0.1)
    with pytest.raises(UserError) as refused:
        two.engine.up()
    assert "locked by 1 lock(s)" in str(refused.value) + "".join(capfd.readouterr())
    printed, _ = running.communicate(timeout=300)
    assert running.returncode == 0, printed
    two.settings(15)
    two.engine.ensure()
    two.run("preview", "--expect-no-changes")
    two.engine.destroy()


def test_another_passphrase_is_refused(clones: tuple[Clone, Clone], monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = clones
    one.engine.ensure()
    one.engine.up_quietly()
    with monkeypatch.context() as other:
        other.setenv("PULUMI_CONFIG_PASSPHRASE", "another")
        two.engine.ensure()
        with pytest.raises(UserError, match="passphrase"):
            two.engine.up_quietly()
    two.engine.destroy()
