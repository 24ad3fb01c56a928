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
    """By program; those with one number were taken in one turn, right after each other."""
    unit: str = ""
    """Of the samples; shown where no ratio is."""
    goal: float | None = None
    """Ratio that is wanted against each of the others."""
    drawn: bool = True
    """Whether it stands in the picture."""
    compared: bool = True
    """Whether ratios say something: not of requests lost, which may be none."""


@dataclass(frozen=True)
class Result:
    """What a section found out."""

    rows: Sequence[Row]
    notes: Sequence[str] = field(default_factory=tuple)
    """What could not be measured, and why; what a reader has to know."""


def median(samples: Sequence[float]) -> float:
    return statistics.median(samples)


def quartiles(samples: Sequence[float]) -> tuple[float, float]:
    """The middle half of the samples lies between these."""
    if len(samples) < 2:
        return samples[0], samples[0]
    low, _, high = statistics.quantiles(samples, n=4, method="inclusive")
    return low, high


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that this many per cent of all do not exceed."""
    ordered = sorted(samples)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank), 1) - 1]


def turns(row: Row) -> dict[str, list[float]]:
    """Ours against each peer in each turn, as a ratio; above 1 is better, whatever was measured.

    Turn by turn, because a machine that becomes slower does so for everybody who has a turn then: comparing
    medians of whole runs compares ours of a fast minute with the peer's of a slow one.
    """
    ours = row.samples.get(OURS, ())
    others = {name: samples for name, samples in row.samples.items() if name != OURS}
    if not row.compared or not all(ours) or not all(all(samples) for samples in others.values()):
        return {}
    return {
        peer: [us / them if row.more_is_better else them / us for us, them in zip(ours, samples, strict=True)]
        for peer, samples in others.items()
        if ours
    }


def as_json(section: str, result: Result, machine: Mapping[str, str]) -> dict[str, Any]:
    """Everything, samples included, for bench/results."""
    rows = []
    for row in result.rows:
        by_peer = turns(row)
        rows.append(
            {
                **asdict(row),
                "median": {name: median(samples) for name, samples in row.samples.items()},
                "ratio": {peer: round(median(ratios), 3) for peer, ratios in by_peer.items()},
                "quartiles": {
                    peer: [round(ratio, 3) for ratio in quartiles(ratios)] for peer, ratios in by_peer.items()
                },
            }
        )
    return {"section": section, "machine": dict(machine), "rows": rows, "notes": list(result.notes)}
