"""Load for a moment before a turn, with a script in place of wrk: the machine of fast tests has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.load import NoAnswerError, warm_up

REPORT = "50.000% 1.00ms\n99.000% 2.00ms\n99.900% 3.00ms\n{} requests in 400.00ms\n"
WRK = "#!/bin/sh\ntrap \"printf '{}'; exit 0\" INT\necho $$ >wrk.pid\nwhile :; do sleep 0.05; done\n"


def wrk_for_a_moment(folder: Path, monkeypatch: pytest.MonkeyPatch, answered: int) -> None:
    """A wrk that goes on until it is interrupted, as by Ctrl-C, and then says what it has seen."""
    program = folder / "wrk"
    program.write_text(WRK.format(REPORT.format(answered).replace("%", "%%")))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.chdir(folder)


def test_a_moment_of_load_ends_by_itself_and_says_what_it_saw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrk_for_a_moment(tmp_path, monkeypatch, answered=321)
    seen = warm_up("http://127.0.0.1:1/", connections=1, core=0, script=tmp_path / "load.lua")
    assert (seen.requests, seen.p50) == (321, 0.001)
    assert not Path("/proc", (tmp_path / "wrk.pid").read_text().strip()).exists()


def test_one_without_an_answer_warms_nothing_and_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrk_for_a_moment(tmp_path, monkeypatch, answered=0)
    with pytest.raises(NoAnswerError):
        warm_up("http://127.0.0.1:1/", connections=1, core=0, script=tmp_path / "load.lua")
