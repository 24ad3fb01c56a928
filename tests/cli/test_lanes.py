"""Two programs at once: who said what, how they ended, and what Ctrl-C does."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

from cli import lanes
from cli.developing import worst

SAYS_AND_ENDS = "import sys; print(sys.argv[1]); print('second line'); sys.exit(int(sys.argv[2]))"
CLEANS_UP = """\
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    print('at work', flush=True)
    time.sleep(60)
finally:
    time.sleep(0.2)
    print('cleaned up')
"""
RUNS_TWO = """\
import os, signal, sys
from pathlib import Path
from cli import lanes
signal.signal(signal.SIGINT, signal.default_int_handler)
argv = [sys.executable, '-c', sys.argv[1]]
lanes.run({'one': argv, 'two': argv}, cwd=Path.cwd(), env=os.environ, output=sys.stdout)
"""


def test_every_line_says_whose_it_is_and_every_program_how_it_ended(tmp_path: Path) -> None:
    output = io.StringIO()
    argv = [sys.executable, "-c", SAYS_AND_ENDS]
    side_by_side = {"plugins": [*argv, "first", "0"], "e2e": [*argv, "other", "3"]}
    assert lanes.run(side_by_side, cwd=tmp_path, env=os.environ, output=output) == [0, 3]
    lines = output.getvalue().splitlines()
    assert [line for line in lines if line.startswith("plugins │ ")] == [
        "plugins │ first",
        "plugins │ second line",
    ]
    assert [line for line in lines if line.startswith("e2e     │ ")] == [
        "e2e     │ other",
        "e2e     │ second line",
    ]


def test_an_interrupt_lets_every_program_clean_up() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", RUNS_TWO, CLEANS_UP],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert child.stdout is not None
    said = [child.stdout.readline(), child.stdout.readline()]
    assert sorted(said) == ["one │ at work\n", "two │ at work\n"]
    os.killpg(child.pid, signal.SIGINT)
    printed, error = child.communicate(timeout=30)
    assert child.returncode == -signal.SIGINT, error
    assert "one │ cleaned up" in printed
    assert "two │ cleaned up" in printed


def test_runs_of_pytest_fail_together_when_one_fails_and_find_nothing_only_if_all_do() -> None:
    assert worst([0, 0]) == 0
    assert worst([0, 1]) == 1
    assert worst([5, 0]) == 0
    assert worst([5, 5]) == 5
    assert worst([0, -signal.SIGKILL]) != 0
