"""A turn of a proxy under load."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bench import proxy
from bench.load import NoAnswerError
from bench.programs import BenchError

CASE = proxy.Case("32 connections")


class Program:
    name = "nginx"


def turn(monkeypatch: pytest.MonkeyPatch, *outcomes: Any) -> tuple[Any, list[str]]:
    """What `_turn` makes of samples that end like this, and its notes."""
    given: Iterator[Any] = iter(outcomes)

    def sample(*_: object) -> Any:
        outcome = next(given)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(proxy, "_sample", sample)
    notes: list[str] = []
    bench: Any = None
    program: Any = Program()
    return proxy._turn(bench, CASE, program, None, notes), notes


def test_a_turn_without_an_answer_is_told_and_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    sample, notes = turn(monkeypatch, NoAnswerError("none"), {"p99 latency": 1.0})
    assert sample == {"p99 latency": 1.0}
    assert notes == ["nginx gave no answer in a turn of 32 connections; it was measured again."]


def test_two_in_a_row_are_an_error_that_names_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BenchError, match="nginx, 32 connections: none"):
        turn(monkeypatch, NoAnswerError("none"), NoAnswerError("none"))


def test_failures_are_never_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BenchError, match="nginx, 32 connections: Non-2xx"):
        turn(monkeypatch, BenchError("Non-2xx"), {"p99 latency": 1.0})
