"""What is told of turns of calls: latency, what a way adds to the direct one, CPU by program. Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.figures import Row

DIRECT = "direct"
"""Name of the way that the others are compared with."""
ALL = "all of these"
PACED = "CPU per call at that pace"
BUSY = "CPU per call at full load"


@dataclass(frozen=True)
class Turn:
    """One way in one turn. Microseconds."""

    p50: float
    p99: float
    paced: Mapping[str, float]
    """CPU per call of each program, on the way or not."""
    busy: Mapping[str, float]
    """The same at full load."""


def rows(seen: Mapping[str, Sequence[Turn]], through: Mapping[str, Sequence[str]]) -> list[Row]:
    """Latency of each way, what it adds to the direct one of the same turn, and CPU by program. Pure."""
    p50 = {way: [turn.p50 for turn in turns] for way, turns in seen.items()}
    p99 = {way: [turn.p99 for turn in turns] for way, turns in seen.items()}
    paced = {
        way: {
            name: [
                turn.paced[name] - idle.paced[name] for turn, idle in zip(turns, seen[DIRECT], strict=True)
            ]
            for name in through[way]
        }
        for way, turns in seen.items()
        if way != DIRECT
    }
    busy = {way: {name: [turn.busy[name] for turn in seen[way]] for name in through[way]} for way in paced}
    return [
        _row("latency", "p50", p50),
        _row("latency", "p99", p99),
        _row("added to direct", "p50", _against(p50, operator.sub)),
        _row("added to direct", "p99", _against(p99, operator.sub)),
        _row("times direct", "p50", _against(p50, operator.truediv), unit=""),
        *_cpu(PACED, paced),
        *_cpu(BUSY, busy),
    ]


def _cpu(what: str, used: Mapping[str, Mapping[str, Sequence[float]]]) -> list[Row]:
    """A row for each program, and their sum. `used`: by way and program."""
    programs = dict.fromkeys(name for by_program in used.values() for name in by_program)
    found = [
        _row(what, program, {way: one[program] for way, one in used.items() if program in one})
        for program in programs
    ]
    total = {way: [sum(turn) for turn in zip(*one.values(), strict=True)] for way, one in used.items()}
    return [*found, _row(what, ALL, total)]


def _against(
    samples: Mapping[str, Sequence[float]], compare: Callable[[float, float], float]
) -> dict[str, list[float]]:
    """Each way against the direct one, turn by turn."""
    return {
        way: [compare(one, base) for one, base in zip(taken, samples[DIRECT], strict=True)]
        for way, taken in samples.items()
        if way != DIRECT
    }


def _row(what: str, figure: str, samples: Mapping[str, Sequence[float]], unit: str = "µs") -> Row:
    return Row(what=what, figure=figure, more_is_better=False, samples=samples, unit=unit, compared=False)
