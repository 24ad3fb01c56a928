"""Medians, spread and ratios, and what wrk says."""

from __future__ import annotations

import json

import pytest

from bench.figures import Result, Row, as_json, percentile, ratios, spread
from bench.load import Load, ask_all, parse
from bench.page import page, picture
from bench.programs import BenchError

WRK = """Running 1s test @ http://127.0.0.1:1/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.70ms    2.43ms  52.48ms   91.27%
  Latency Distribution
     50%  776.00us
     75%    1.20ms
     90%    2.00ms
     99%    8.56ms
  39900 requests in 1.05s, 7.31MB read
Requests/sec:  38000.00
"""


def row(more_is_better: bool, **samples: list[float]) -> Row:
    return Row(what="here", figure="speed", more_is_better=more_is_better, samples=samples, unit="s")


def test_a_ratio_above_one_means_better_whatever_was_measured() -> None:
    assert ratios(row(True, gateway=[3], nginx=[1.5])) == {"nginx": 2.0}
    assert ratios(row(False, gateway=[3], nginx=[6], haproxy=[1.5])) == {"nginx": 2.0, "haproxy": 0.5}


def test_a_machine_that_slows_down_between_rounds_changes_no_ratio() -> None:
    slower = row(True, gateway=[60, 60, 50, 50, 50], nginx=[60, 60, 60, 50, 50])
    assert ratios(slower) == {"nginx": 1.0}


def test_without_a_peer_or_with_nothing_measured_there_is_no_ratio() -> None:
    assert ratios(row(True, gateway=[3])) == {}
    assert ratios(row(True, gateway=[0.0], nginx=[1])) == {}


def test_spread_is_the_middle_half_as_a_part_of_the_median() -> None:
    assert spread([1, 2, 3, 4, 5]) == pytest.approx(2 / 3)
    assert spread([7]) == 0.0
    assert spread([0, 0]) == 0.0


def test_a_percentile_is_a_sample() -> None:
    samples = [float(number) for number in range(100, 0, -1)]
    assert (percentile(samples, 50), percentile(samples, 99), percentile([3.0], 99)) == (50.0, 99.0, 3.0)


def test_wrks_report_is_read() -> None:
    assert parse(WRK) == Load(39900, 1.05, pytest.approx(8.56e-3))


@pytest.mark.parametrize(
    "line", ["  Non-2xx or 3xx responses: 3\n", "  Socket errors: connect 0, read 2, write 0, timeout 0\n"]
)
def test_a_run_with_failures_is_no_measurement(line: str) -> None:
    with pytest.raises(BenchError, match="no measurement"):
        parse(WRK + line)


def test_a_run_without_answers_is_no_measurement() -> None:
    with pytest.raises(BenchError, match="no answers"):
        parse("unable to connect")


def test_every_path_is_asked_for_in_turn() -> None:
    script = ask_all([f"/{number}" for number in range(10)])
    assert '{"/0","/1"' in script
    assert "% 10" in script


def results() -> list[dict[str, object]]:
    compared = row(True, gateway=[2, 2], nginx=[4, 4])
    alone = Row(what="a < b", figure="lost", more_is_better=False, samples={"gateway": [0, 2, 1]})
    saved = as_json("proxy", Result([compared, alone], ["one note"]), {"cores": "2"})
    return [json.loads(json.dumps(saved))]


def test_the_page_says_what_is_lost_too() -> None:
    text = page(results())
    assert "| here | speed | 0.50 (0.00, 0.00) |" in text
    assert "| a < b | lost | 1 | 0 to 2 |" in text
    assert "- one note" in text
    assert text.endswith("Machine: cores 2.\n")


def test_the_picture_draws_every_ratio() -> None:
    drawn = picture(results())
    assert drawn.count(">0.50</text>") == 1
    assert "here: speed" in drawn
    assert drawn.startswith("<svg")
    assert drawn.endswith("</svg>\n")
