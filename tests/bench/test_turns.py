"""A turn of a proxy under load."""

from __future__ import annotations

import pytest

from bench.load import NoAnswerError
from bench.programs import BenchError
from bench.proxy import one_turn


def turn(*outcomes: dict[str, float] | Exception) -> tuple[dict[str, float], list[str]]:
    """A turn whose samples end like this, and its notes."""
    given = iter(outcomes)

    def sample() -> dict[str, float]:
        outcome = next(given)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    notes: list[str] = []
    return one_turn("nginx", "32 connections", sample, notes), notes


def test_a_turn_without_an_answer_is_told_and_measured_again() -> None:
    sample, notes = turn(NoAnswerError("none"), {"p99 latency": 1.0})
    assert sample == {"p99 latency": 1.0}
    assert notes == ["nginx gave no answer in a turn of 32 connections; it was measured again."]


def test_two_in_a_row_are_an_error_that_names_the_program() -> None:
    with pytest.raises(BenchError, match="nginx, 32 connections: none"):
        turn(NoAnswerError("none"), NoAnswerError("none"))


def test_failures_are_never_measured_again() -> None:
    with pytest.raises(BenchError, match="nginx, 32 connections: Non-2xx"):
        turn(BenchError("Non-2xx"), {"p99 latency": 1.0})
