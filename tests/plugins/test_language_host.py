"""What the language host says of the interpreter that runs a program."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from airgap.plugins.language.plugin import version


async def test_the_version_of_our_own_interpreter_is_known_without_a_process(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    assert await version(str(python)) == platform.python_version()


async def test_another_interpreter_is_asked_for_its_version(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 3.99.1\n")
    python.chmod(0o755)
    assert await version(str(python)) == "3.99.1"
