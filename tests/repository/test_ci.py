"""CI runs its sections in order, stops at the first that fails, and prints what was kept about it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STACK = """#!/bin/sh
echo "stack $*"
if [ "$*" = "$FAILS" ]; then
  mkdir -p "$CI_KEEP/test_one"
  echo "the pod said why" > "$CI_KEEP/test_one/pods.txt"
  echo "assert 1 == 2" > "$CI_KEEP/failed"
  exit 3
fi
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository that is nothing but .ci/run and a ./stack that fails when told to."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    (tmp_path / "stack").write_text(STACK)
    (tmp_path / "stack").chmod(0o755)
    return tmp_path


def ci(clone: Path, *, fails: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "FAILS": fails}
    return subprocess.run([clone / ".ci" / "run"], env=env, capture_output=True, text=True, check=False)


def test_a_change_that_passes_went_through_every_section(clone: Path) -> None:
    done = ci(clone, fails="nothing")
    assert done.returncode == 0, done.stderr
    called = [line for line in done.stdout.splitlines() if line.startswith("stack ")]
    assert called == ["stack check", "stack test", "stack test e2e"]
    assert "kept" not in done.stdout


def test_the_first_failure_ends_it_with_its_code_and_what_was_kept(clone: Path) -> None:
    done = ci(clone, fails="test")
    assert done.returncode == 3
    assert "stack test e2e" not in done.stdout
    assert "======== test_one/pods.txt ========\nthe pod said why" in done.stdout
    assert done.stdout.index("######## failed ########\nassert 1 == 2") > done.stdout.index("pods.txt")
    section, _seconds, *ending = done.stdout.rstrip().splitlines()[-2].split()
    assert (section, ending) == ("tests", ["s", "exit", "3"])


def test_what_an_earlier_run_kept_is_not_shown(clone: Path) -> None:
    ci(clone, fails="test")
    assert "the pod said why" not in ci(clone, fails="nothing").stdout
    assert not list((clone / ".ci" / "kept").iterdir())
