"""A command's failure is told with its last lines and what to do."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from airgap.report import SupplyError
from airgap.run import explain_disk_full, run_logged


def _run(script: str, tmp_path: Path, report: Any) -> Path:
    log = tmp_path / "logs" / "x.log"
    with report.step("x") as step:
        run_logged(["sh", "-c", script], log=log, step=step, hint="Do this.")
    return log


def test_output_goes_to_the_log_and_the_progress(tmp_path: Path, report: Any) -> None:
    log = _run("echo one; echo two >&2", tmp_path, report)
    assert log.read_text().splitlines()[-2:] == ["one", "two"]
    assert report.updates == ["one", "two"]


def test_a_failure_names_the_exit_code_the_log_and_a_hint(tmp_path: Path, report: Any) -> None:
    with pytest.raises(SupplyError, match=r"(?s)exit code 4; .*x\.log.*because of this.*Do this\."):
        _run("echo because of this; exit 4", tmp_path, report)


def test_a_killed_command_names_the_signal(tmp_path: Path, report: Any) -> None:
    with pytest.raises(SupplyError, match="signal SIGKILL"):
        _run("kill -9 $$", tmp_path, report)


def test_a_full_disk_is_recognised_in_the_output(tmp_path: Path, report: Any) -> None:
    with pytest.raises(SupplyError, match=r"disk is full .*XDG_CACHE_HOME"):
        _run("echo write: No space left on device; exit 1", tmp_path, report)


def test_a_full_disk_is_recognised_in_our_own_writes(tmp_path: Path) -> None:
    with pytest.raises(SupplyError, match="disk is full"), explain_disk_full(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_command_that_is_not_there_is_told_with_a_hint(tmp_path: Path, report: Any) -> None:
    with (
        report.step("x") as step,
        pytest.raises(SupplyError, match=r"no-such-command cannot be run.*Do this"),
    ):
        run_logged(["no-such-command"], log=tmp_path / "log", step=step, hint="Do this.")
