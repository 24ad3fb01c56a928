"""Another root and certificate under load: what calls, what answers, and what is told of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.programs import start
from bench.rotation import BEFORE, ENDING, TAKEN, Walk, rows
from bench.setting import free_port


def test_each_phase_is_told_by_the_calls_that_began_in_it() -> None:
    walks = [
        Walk(
            phases={BEFORE: (0.0, 10.0), ENDING: (10.0, 20.0), TAKEN: (20.0, 25.0)},
            replaced={BEFORE: 0, ENDING: 500, TAKEN: 450},
            calls=[*((at / 10, 0.002 * turn) for at in range(200)), (20.0, 0.3), (25.0, 9.0)],
        )
        for turn in (1, 2)
    ]
    told = {row.figure: row for row in rows("all of them in use", walks)}
    assert told["p99"].what == "500 connections, all of them in use"
    assert told["p99"].samples == {BEFORE: [2, 4], ENDING: [2, 4], TAKEN: [300, 300]}
    assert told["slowest"].samples[TAKEN] == [300, 300], "what began after it is not of it"
    assert told["connections made"].samples == {BEFORE: [0, 0], ENDING: [500, 500], TAKEN: [450, 450]}


@pytest.mark.parametrize("takes", [0.3, 0.0])
def test_calls_go_on_at_their_pace_while_the_application_takes_its_time(tmp_path: Path, takes: float) -> None:
    port = free_port()
    argv = [sys.executable, "-m", "bench.late", str(port)]
    with start("application", argv, core=0, port=port, folder=tmp_path):
        began = time.monotonic()
        options = ["--host", "any", "--rate", "50", "--connections", "20", "--seconds", "1"]
        said = subprocess.run(
            [sys.executable, "-m", "bench.steady", str(port), str(takes), *options],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    calls = json.loads(said)
    assert len(calls) == 50, "the first ones are not counted"
    assert calls[0][0] > began + 1.0, "they hold the connections until all are open"
    assert 0.9 < calls[-1][0] - calls[0][0] < 3
    assert all(took > takes / 2 for _, took in calls), "a timer may be early by what a loop takes"


def test_a_call_that_fails_ends_the_measurement(tmp_path: Path) -> None:
    port = free_port()
    argv = [
        sys.executable,
        "-m",
        "http.server",
        str(port),
        "--bind",
        "127.0.0.1",
        "--directory",
        str(tmp_path),
    ]
    with start("other", argv, core=0, port=port, folder=tmp_path):
        options = ["--host", "any", "--rate", "5", "--connections", "1", "--seconds", "1"]
        ended = subprocess.run(
            [sys.executable, "-m", "bench.steady", str(port), "0", *options],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert ended.returncode == 1
    assert "404" in ended.stderr
