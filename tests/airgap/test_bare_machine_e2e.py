"""A machine with nothing on it yet: what is missing is said at once, and a build can be interrupted."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.commands import ROOT

pytestmark = pytest.mark.e2e

SECONDS = 120


@pytest.fixture
def empty(tmp_path: Path) -> dict[str, str]:
    """The environment of a user whose cache holds nothing but the Python packages."""
    real = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "multicluster-dapr"
    cache = tmp_path / "cache" / "multicluster-dapr"
    cache.mkdir(parents=True)
    (cache / "venv").symlink_to(real / "venv")
    return {**os.environ, "XDG_CACHE_HOME": str(cache.parent), "XDG_STATE_HOME": str(tmp_path / "state")}


def test_without_go_nothing_is_begun(empty: dict[str, str], tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python3").symlink_to(sys.executable)
    done = subprocess.run(
        [sys.executable, str(ROOT / "stack"), "up", "--supply", "airgap"],
        env={**empty, "PATH": str(programs)}, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "Go is needed to build pulumi" in done.stderr
    assert "Install Go" in done.stderr
    assert "Traceback" not in done.stderr
    assert "▶" not in done.stderr, "no step has begun"


@pytest.fixture
def as_in_a_terminal() -> Iterator[None]:
    """Tests in the background of a shell inherit that Ctrl-C is ignored, and would pass it on."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(shutil.which("go") is None, reason="needs Go")
def test_a_build_that_is_interrupted_says_so_and_leaves_nothing_half_made(
    empty: dict[str, str], as_in_a_terminal: None
) -> None:
    child = subprocess.Popen(
        [sys.executable, str(ROOT / "stack"), "up", "--supply", "airgap"],
        env=empty, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    assert child.stdout is not None
    said = []
    for line in child.stdout:
        said.append(line)
        if "Building pulumi" in line:
            break
    time.sleep(3)
    os.killpg(child.pid, signal.SIGINT)
    said.append(child.stdout.read())
    child.stdout.close()
    assert child.wait(timeout=SECONDS) == 130, "".join(said)
    assert "run the same command again" in said[-1]
    assert "Traceback" not in "".join(said)
    tools = Path(empty["XDG_CACHE_HOME"]) / "multicluster-dapr" / "tools"
    assert list(tools.iterdir()) == [], "no half-made program and no temporary folder"
