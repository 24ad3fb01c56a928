"""Samples, and what is told of them: medians, spread, and how we compare with each peer. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

OURS = "gateway"
"""Name of what is compared with the others."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One thing measured, of several programs by turns in the same run."""

    what: str
    """The circumstances, such as `32 connections, small answers`."""
    figure: str
    """What was measured, such as `requests per CPU second`."""
    more_is_better: bool
    samples: Mapping[str, Sequence[float]]
    """By program."""
    unit: str = ""
    """Of the samples; shown for rows without a peer only, where there is no ratio to show."""


@dataclass(frozen=True)
class Result:
    """What a section found out."""

    rows: Sequence[Row]
    notes: Sequence[str] = field(default_factory=tuple)
    """What could not be measured, and why; what a reader has to know."""


def median(samples: Sequence[float]) -> float:
    return statistics.median(samples)


def spread(samples: Sequence[float]) -> float:
    """Distance between the quartiles as a part of the median: the middle half lies within it."""
    middle = statistics.median(samples)
    if len(samples) < 2 or not middle:
        return 0.0
    low, _, high = statistics.quantiles(samples, n=4, method="inclusive")
    return (high - low) / middle


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that this many per cent of all do not exceed."""
    ordered = sorted(samples)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank), 1) - 1]


def ratios(row: Row) -> dict[str, float]:
    """Ours against each peer: the median of the rounds' ratios; above 1 is better, whatever was measured.

    Round by round, because a machine that others use as well changes its speed for minutes: of two medians
    one may be of its fast rounds and the other of its slow ones.
    """
    found = {}
    for peer, samples in row.samples.items():
        rounds = [
            ours / theirs if row.more_is_better else theirs / ours
            for ours, theirs in zip(row.samples.get(OURS, ()), samples, strict=False)
            if ours and theirs
        ]
        if peer != OURS and rounds:
            found[peer] = median(rounds)
    return found


def as_json(section: str, result: Result, machine: Mapping[str, str]) -> dict[str, Any]:
    """Everything, samples included, for bench/results."""
    rows = [
        {
            **asdict(row),
            "median": {name: median(samples) for name, samples in row.samples.items()},
            "spread": {name: round(spread(samples), 3) for name, samples in row.samples.items()},
            "ratio": {peer: round(ratio, 3) for peer, ratio in ratios(row).items()},
        }
        for row in result.rows
    ]
    return {"section": section, "machine": dict(machine), "rows": rows, "notes": list(result.notes)}
