"""What a run amounts to: minutes of good traffic, memory of processes, and whether all is well. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from e2e.soak.samples import Series

FLAT = 15.0
"""MiB an hour by which memory may seem to grow: a gateway of 60 MiB would need half a day to double."""
SETTLED = 1 / 3
"""Of a run: before, caches fill and pools open."""
HOUR = 3600.0
FAILURES_KEPT = 50


@dataclass
class Minute:
    """The good requests that one lane began in one minute."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0


@dataclass
class Good:
    """All that the good callers printed."""

    began: float
    lanes: dict[str, dict[int, Minute]] = field(default_factory=dict)
    """By name, then by minute of the run."""
    failures: list[str] = field(default_factory=list)

    def take(self, line: Sequence[Any]) -> None:
        """One line of a good caller. Before the run began nothing counts: what it made was not ready."""
        at, lane, seconds, failed, failures = line
        if at < self.began:
            return
        minute = self.lanes.setdefault(lane, {}).setdefault(int((at - self.began) // 60), Minute())
        minute.seconds += seconds
        minute.failed += failed
        self.failures += [f"{lane}: {one}" for one in failures]

    @property
    def requests(self) -> int:
        return sum(len(one.seconds) for lane in self.lanes.values() for one in lane.values())

    @property
    def failed(self) -> int:
        return sum(one.failed for lane in self.lanes.values() for one in lane.values())


@dataclass
class Hostile:
    """All that the attackers printed."""

    outcomes: Counter[str] = field(default_factory=Counter)
    leaks: list[str] = field(default_factory=list)

    def take(self, line: Sequence[Any]) -> None:
        _, found, leaks = line
        self.outcomes.update(found)
        self.leaks += leaks


def quantile(sorted_values: Sequence[float], part: float) -> float:
    return (
        sorted_values[min(len(sorted_values) - 1, int(part * len(sorted_values)))] if sorted_values else 0.0
    )


def figures(seconds: Iterable[float], failed: int) -> dict[str, Any]:
    """Of some requests: how many, and their milliseconds."""
    found = sorted(seconds)
    p50, p99, slowest = (round(1000 * quantile(found, part), 1) for part in (0.5, 0.99, 1.0))
    return {"requests": len(found), "failed": failed, "p50": p50, "p99": p99, "slowest": slowest}


def lane_table(lane: Mapping[int, Minute]) -> list[dict[str, Any]]:
    """Minute by minute: requests, failures, and milliseconds."""
    rows = []
    for number, minute in sorted(lane.items()):
        rows.append({"minute": number, **figures(minute.seconds, minute.failed)})
    return rows


def slope(series: Series) -> float:
    """MiB an hour, by least squares over what is settled."""
    start = series.at[0] + (series.at[-1] - series.at[0]) * SETTLED
    points = [(at - start, size) for at, size in zip(series.at, series.mebibytes, strict=True) if at >= start]
    if len(points) < 3:
        return 0.0
    mean_at = sum(at for at, _ in points) / len(points)
    mean_size = sum(size for _, size in points) / len(points)
    spread = sum((at - mean_at) ** 2 for at, _ in points)
    return HOUR * sum((at - mean_at) * (size - mean_size) for at, size in points) / spread if spread else 0.0


def shortcomings(
    good: Good, hostile: Hostile, processes: Mapping[str, Series], *, restarted: Iterable[str],
    smuggled: Iterable[str], minutes: float,
) -> dict[str, str]:  # fmt: skip
    """What is not well, by what should have been; empty when all is.

    `restarted`: pods that did; `smuggled`: requests that a server saw and nobody sent; `minutes`: of the run.
    """
    silent = [name for name, lane in good.lanes.items() if len(lane) < int(minutes)]
    growing = [
        f"{name}: {grown:+.1f} MiB/h" for name, series in processes.items() if (grown := slope(series)) > FLAT
    ]
    checks = {
        "no good request failed": [f"{good.failed} of {good.requests}"] if good.failed else [],
        "good requests were made in every minute": silent or ([] if good.lanes else ["none at all"]),
        "nothing restarted": list(restarted),
        f"memory grows by less than {FLAT:g} MiB/h": growing,
        "nothing was smuggled to a server": list(smuggled)[:3],
        "no page was shown to an outsider, and no request answered twice": hostile.leaks[:3],
        "attacks were made": [] if hostile.outcomes else ["none"],
    }
    return {wanted: "; ".join(found) for wanted, found in checks.items() if found}


def summary(good: Good, hostile: Hostile, processes: Mapping[str, Series]) -> dict[str, Any]:
    """The figures of a run, as JSON."""
    totals = {}
    for name, lane in sorted(good.lanes.items()):
        seconds = [second for minute in lane.values() for second in minute.seconds]
        totals[name] = figures(seconds, sum(minute.failed for minute in lane.values()))
    memory = {
        name: {"first": round(series.mebibytes[0], 1), "most": round(max(series.mebibytes), 1),
               "last": round(series.mebibytes[-1], 1), "MiB/h": round(slope(series), 1),
               "most files": max(series.files)}
        for name, series in sorted(processes.items())
    }  # fmt: skip
    return {
        "good": totals,
        "minutes": {name: lane_table(lane) for name, lane in sorted(good.lanes.items())},
        "failures": good.failures[:FAILURES_KEPT],
        "hostile": dict(sorted(hostile.outcomes.items())),
        "leaks": hostile.leaks[:FAILURES_KEPT],
        "memory": memory,
    }
