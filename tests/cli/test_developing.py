"""What `./stack test e2e` does when it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from airgap.lock import exclusive
from airgap.report import Report
from cli import developing
from cli.paths import Paths


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[Report]:
    """Filled when our own Docker daemon would be stopped."""
    calls: list[Report] = []
    monkeypatch.setattr(developing.daemon, "stop_daemon", calls.append)
    return calls


def test_tests_that_end_leave_the_daemon_to_a_command_that_goes_on_with_it(
    tmp_path: Path, stopped: list[Report], capsys: pytest.CaptureFixture[str]
) -> None:
    paths, report = Paths(root=tmp_path, cache=tmp_path, state=tmp_path), Report()
    with exclusive(paths.cache, "./stack up mine", report):
        developing.stop_daemon(paths, report)
    assert not stopped
    assert "stays: another ./stack is at work (./stack up mine" in capsys.readouterr().err
    developing.stop_daemon(paths, report)
    assert stopped == [report]
