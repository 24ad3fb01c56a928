"""Medians, spread and ratios, and what wrk says."""

from __future__ import annotations

import json

import pytest

from bench.figures import Result, Row, as_json, percentile, quartiles, turns
from bench.load import Load, NoAnswerError, parse, upload
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
  99.9%  9120.00us
"""


def row(more_is_better: bool, goal: float | None = None, **samples: list[float]) -> Row:
    return Row(
        what="here", figure="speed", more_is_better=more_is_better, samples=samples, unit="s", goal=goal
    )


def test_a_ratio_above_one_means_better_whatever_was_measured() -> None:
    assert turns(row(True, gateway=[3, 4], nginx=[1.5, 4])) == {"nginx": [2.0, 1.0]}
    assert turns(row(False, gateway=[3], nginx=[6], haproxy=[1.5])) == {"nginx": [2.0], "haproxy": [0.5]}


def test_a_machine_that_becomes_slower_in_the_middle_of_a_turn_changes_no_ratio_but_that_turns() -> None:
    ours, theirs = [58.0, 58.0, 47.0, 47.0, 47.0], [55.0, 55.0, 55.0, 45.0, 45.0]
    saved = as_json("proxy", Result([row(True, gateway=ours, haproxy=theirs)]), {})
    assert saved["rows"][0]["ratio"]["haproxy"] == pytest.approx(47 / 45, abs=1e-3)
    assert 47 / 55 < 0.9, "which is what the medians of whole runs would have said"


def test_without_a_peer_or_with_nothing_measured_there_is_no_ratio() -> None:
    assert turns(row(True, gateway=[3])) == {}
    assert turns(row(True, gateway=[0.0], nginx=[1])) == {}
    assert turns(row(True, gateway=[1], nginx=[0.0])) == {}


def test_quartiles_hold_the_middle_half() -> None:
    assert quartiles([1, 2, 3, 4, 5]) == (2, 4)
    assert quartiles([7]) == (7, 7)


def test_a_percentile_is_a_sample() -> None:
    samples = [float(number) for number in range(100, 0, -1)]
    assert (percentile(samples, 50), percentile(samples, 99), percentile([3.0], 99)) == (50.0, 99.0, 3.0)


def test_wrks_report_is_read() -> None:
    times = [pytest.approx(one) for one in (776e-6, 8.56e-3, 9.12e-3)]
    assert parse(WRK) == Load(39900, 1.05, *times)
    with pytest.raises(NoAnswerError):
        parse(WRK.replace("99.9%", "98%"))


@pytest.mark.parametrize(
    "line", ["  Non-2xx or 3xx responses: 3\n", "  Socket errors: connect 0, read 2, write 0, timeout 0\n"]
)
def test_a_run_with_failures_is_no_measurement(line: str) -> None:
    with pytest.raises(BenchError, match="no measurement"):
        parse(WRK + line)


def test_a_run_without_answers_is_no_measurement() -> None:
    with pytest.raises(NoAnswerError, match="no answers"):
        parse("unable to connect")


def test_a_body_goes_with_every_request() -> None:
    assert 'wrk.method = "POST"' in upload(1024)
    assert 'string.rep("x", 1024)' in upload(1024)


def results() -> list[dict[str, object]]:
    lost = row(True, goal=0.9, gateway=[2, 2, 4], nginx=[4, 4, 5], haproxy=[1, 2, 3])
    first = Row(
        what="32", figure="speed", more_is_better=True, samples={"gateway": [1], "nginx": [1]}, goal=1
    )
    alone = Row(
        what="a < b",
        figure="lost",
        more_is_better=False,
        samples={"gateway": [0, 2, 1], "nginx": [3]},
        compared=False,
    )
    saved = as_json("proxy", Result([lost, first, alone], ["one note", "another"]), {"cores": "2"})
    return [json.loads(json.dumps(saved))]


def test_the_page_says_what_is_lost_too() -> None:
    text = page(results())
    assert "| here | speed | 0.50 ✗ (0.50 to 0.65) | 1.33 (1.17 to 1.67) |" in text
    assert "Goals:\n\n- At least 1: 32.\n- At least 0.9: all others.\n" in text
    assert "\n- Missed by 1 of 3 ratios that have one (✗).\n" in text
    assert "- one note\n- another\n" in text
    assert text.endswith("Machine: cores 2.\n")


def test_a_goal_that_one_figure_has_everywhere_is_told_of_the_figure() -> None:
    made = [
        Row(what=what, figure=figure, more_is_better=True, samples={"gateway": [1], "nginx": [1]}, goal=goal)
        for what, figure, goal in (
            ("32", "speed", 1.0), ("32", "p99", 0.91), ("1", "speed", 0.95), ("1", "p99", 0.91),
            ("2", "speed", 0.95),
        )
    ]  # fmt: skip
    saved = [json.loads(json.dumps(as_json("proxy", Result(made), {})))]
    assert "- At least 1: 32.\n- At least 0.91: p99.\n- At least 0.95: all others.\n" in page(saved)


def test_figures_without_a_goal_are_named() -> None:
    made = [
        Row(what="1", figure=figure, more_is_better=True, samples={"gateway": [1], "nginx": [9]}, goal=goal)
        for figure, goal in (("speed", 1.0), ("p50", None), ("p99.9", None))
    ]
    saved = [json.loads(json.dumps(as_json("proxy", Result(made), {})))]
    assert "- Without a goal: p50, p99.9.\n- Missed by 1 of 1 ratios that have one (✗).\n" in page(saved)


def test_rows_with_other_peers_have_a_table_of_their_own() -> None:
    headers = [line for line in page(results()).splitlines() if line.startswith("|  |  | against")]
    assert headers == ["|  |  | against nginx | against HAProxy |", "|  |  | against nginx |"]


def test_what_no_ratio_can_tell_stands_side_by_side() -> None:
    text = page(results())
    assert "| median (least to most) |  | gateway | nginx |" in text
    assert "| a < b | lost | 1 (0 to 2) | 3 |" in text


def test_the_picture_leaves_out_what_is_compared_with_no_proxy() -> None:
    assert ">0.50 ✗</text>" not in picture([{**saved, "section": "stack"} for saved in results()])


def test_a_row_can_be_left_out_of_the_picture() -> None:
    told = Row(
        what="here", figure="p50", more_is_better=False, samples={"gateway": [2], "nginx": [5]}, drawn=False
    )
    saved = [json.loads(json.dumps(as_json("proxy", Result([told]), {})))]
    assert "| here | p50 | 2.50" in page(saved)
    assert "2.50" not in picture(saved)


def test_the_picture_draws_every_ratio_and_marks_what_misses_its_goal() -> None:
    drawn = picture(results())
    assert drawn.count(">0.50 ✗</text>") == 1
    assert drawn.count(">1.33</text>") == 1
    assert "here: speed" in drawn
    assert drawn.startswith("<svg")
    assert drawn.endswith("</svg>\n")
