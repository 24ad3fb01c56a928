"""The real engine does without a log where it cannot make the folder for it, and with all its plugins."""

from __future__ import annotations

from pathlib import Path

import pytest

from airgap.plugins.install import install_quiet_home
from plugins.engine import Engine

pytestmark = pytest.mark.e2e

PROGRAM = """\
import pulumi
import pulumi_command as command

pulumi.export("said", command.local.Command("say", create="echo hello").stdout)
"""


def test_the_engine_keeps_no_log_in_a_quiet_home(engine: Engine, tmp_path: Path) -> None:
    home, quiet = Path(engine.environment["PULUMI_HOME"]), tmp_path / "quiet"
    install_quiet_home(home, quiet)
    stack = engine.stack(tmp_path / "program", PROGRAM)
    before = set((home / "logs").iterdir())
    done = stack.up("--stack", "test", PULUMI_HOME=str(quiet))
    assert "hello" in done.output
    assert (quiet / "logs").is_file()
    assert set((home / "logs").iterdir()) == before
    stack.destroy()
    assert set((home / "logs").iterdir()) > before
