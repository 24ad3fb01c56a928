"""What a request costs, step by step: the traffic is real, and what is told adds up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.figures import OURS
from bench.own_work import STEPS, WHOLE, answers, requests
from bench.steps import ABOVE, ALL, BETWEEN, KERNEL, PROGRAM, TRAFFIC, WHY, rows, user_and_system
from gateway.core.limits import Limits
from gateway.core.request import read_request_head
from gateway.core.response import read_response_head

ROOT = Path(__file__).resolve().parents[2]


def test_no_two_requests_and_no_two_answers_are_alike() -> None:
    sent, given = requests(100, ["/a", "/b"]), answers(100)
    assert len(set(sent)) == len(set(given)) == 100
    for data in sent:
        head = read_request_head(data, Limits())
        assert head is not None
        assert len(data) == len(head.raw) + head.length, "its body is all there"
    for data in given:
        answer = read_response_head(data, Limits())
        assert answer is not None
        assert answer.rest == answer.length


def test_every_step_of_a_request_is_measured_by_itself_and_within_the_whole() -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'proxy'}{os.pathsep}{ROOT}"}
    argv = [sys.executable, "-m", "bench.own_work", "20", "2"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    measured = json.loads(done.stdout)
    assert set(measured) == {WHOLE, *STEPS}
    assert all(len(rounds) == 2 for rounds in measured.values())


def test_what_is_told_adds_up() -> None:
    alone = {WHOLE: [10.0, 12.0], **{step: [1.0, 1.0] for step in STEPS}}
    told = {
        (row.what, row.figure): row.samples
        for row in rows({OURS: [(5, 20), (6, 22)], "nginx": [(4, 9)]}, alone)
    }
    assert told[TRAFFIC, KERNEL] == {OURS: [5, 6], "nginx": [4]}
    assert told[TRAFFIC, PROGRAM] == {OURS: [20, 22], "nginx": [9]}
    assert told[TRAFFIC, ALL] == {OURS: [25, 28], "nginx": [13]}
    assert told[WHY[WHOLE]] == {OURS: [10, 12]}
    assert told[BETWEEN] == {OURS: [10 - len(STEPS), 12 - len(STEPS)]}
    assert told[ABOVE] == {OURS: [10, 10]}


def test_the_kernel_tells_its_time_from_the_programs() -> None:
    user, system = user_and_system(os.getpid())
    told = os.times()
    assert user == pytest.approx(told.user, abs=0.05)
    assert system == pytest.approx(told.system, abs=0.05)
