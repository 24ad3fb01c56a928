"""Other programs are waited for when Ctrl-C comes: they need the time to leave things in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli import process
from cli.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import signal, sys, time
from pathlib import Path

def end(*_):
    time.sleep(1)  # longer than `subprocess` waits by itself
    Path("tidy").touch()
    sys.exit(255)

signal.signal(signal.SIGINT, end)
Path("ready").touch()
time.sleep(30)
"""
PARENT = f"""
import os, sys
from pathlib import Path
from cli import process

try:
    with process.patient():
        process.output([sys.executable, "-c", {CHILD!r}], env=os.environ)
    print("over")
except KeyboardInterrupt:
    print("interrupted,", "tidy" if Path("tidy").exists() else "killed")
"""


def test_ctrl_c_waits_until_a_program_has_put_things_in_order(tmp_path: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not (tmp_path / "ready").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does
    out, _ = running.communicate(timeout=30)
    assert out == "interrupted, tidy\n"


def test_without_ctrl_c_a_failure_stays_one() -> None:
    with pytest.raises(UserError, match="failed"), process.patient():
        process.output(["false"], env=os.environ)
    with process.patient():
        assert process.output(["echo", "x"], env=os.environ) == "x\n"
