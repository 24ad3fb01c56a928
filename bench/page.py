"""docs/benchmarks.md and its picture, out of bench/results. Pure: text in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

TITLES = {
    "proxy": "Throughput and latency",
    "steps": "What a request costs, step by step",
    "memory": "Memory per connection",
    "hops": "What a hop costs",
    "policy": "From a policy's change to the first request that follows it",
    "failover": "When a cluster dies under load",
    "rotation": "When a cluster has another root and certificate",
    "stack": "Whole environments",
}
PICTURED = ("proxy", "memory")
"""Sections in the picture: those that set the gateway beside other proxies."""
WIDTH, LEFT, RIGHT, TOP = 920, 400, 60, 30
BAR, GAP = 12, 8
"""Height of a bar, and between the bars of one row and the next."""
SCALE_END = 2.0
"""Ratio at the picture's right edge; longer bars are cut there and say their number."""

LARGE = 10.0
"""From here on a ratio's decimals say nothing."""
THOUSAND = 999.5
"""From here on three digits are thousands."""

COLOURS = ("#2f6f9f", "#c2702f", "#5a8f4f", "#8a5a9f")

INTRODUCTION = """\
Written by `./stack bench`; change nothing here by hand.

The peers are nginx and HAProxy from Debian and Traefik from its Go module, each set up as its documentation
advises (`bench/peers`). Figures of real traffic, in which no two heads are alike, are those a user will see;
those of one head sent again and again are named so. Every ratio is the gateway against a peer in the same
run, turn by turn on the same cores: **above 1 the gateway is better**, below 1 the peer is, whatever is
measured. It is the median of all turns' ratios, not the ratio of two medians; half of the turns lie within
what stands in brackets. Where a figure has a goal, below its table, what misses it is marked ✗. What the
gateway loses stands here like what it wins. Sections are measured one by one, some on other machines than
others: absolute figures of two sections are not to be compared. All samples are in `bench/results`."""

Saved = Mapping[str, Any]
"""One file of bench/results."""


def page(results: Sequence[Saved]) -> str:
    """The whole document."""
    parts = ["# Benchmarks", INTRODUCTION, "![The gateway against its peers](benchmarks.svg)"]
    for saved in results:
        parts.append(f"## {TITLES.get(saved['section'], saved['section'])}")
        parts += [table(rows) for rows in (*_compared(saved), _alone(saved)) if rows]
        parts += goals(saved)
        parts.append("\n".join(f"- {note}" for note in saved["notes"]))
        parts.append(f"Machine: {', '.join(f'{name} {value}' for name, value in saved['machine'].items())}.")
    return "\n\n".join(parts) + "\n"


def _named(peer: str) -> str:
    """As the peer's own people write it."""
    return {"haproxy": "HAProxy", "traefik": "Traefik"}.get(peer, peer)


def _decimals(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < LARGE else f"{ratio:.0f}"


def missed(row: Saved) -> list[str]:
    """The peers against whom this row misses its goal, as far as two decimals tell."""
    wanted = row.get("goal")
    return [peer for peer, ratio in row["ratio"].items() if wanted and round(ratio, 2) < wanted]


def goals(saved: Saved) -> list[str]:
    """The goals, one in each line, what has none, and how often they are missed; nothing without any."""
    rows = [row for row in saved["rows"] if row.get("goal") and row["ratio"]]
    by_figure: dict[str, set[float]] = {}
    for row in rows:
        by_figure.setdefault(row["figure"], set()).add(row["goal"])
    by_goal: dict[float, list[str]] = {}
    for row in rows:
        # A goal that a figure has wherever it is measured, while others have several, is told of the figure.
        own = len(by_figure[row["figure"]]) == 1 < max(map(len, by_figure.values()))
        named = by_goal.setdefault(row["goal"], [])
        if (name := row["figure"] if own else row["what"]) not in named:
            named.append(name)
    if not by_goal:
        return []
    usual = max(by_goal, key=lambda goal: len(by_goal[goal]))
    lines = [f"- At least {goal:g}: {'; '.join(by_goal[goal])}." for goal in by_goal if goal != usual]
    lines.append(f"- At least {usual:g}: {'all others' if lines else 'all'}.")
    without = dict.fromkeys(
        row["figure"] for row in saved["rows"] if row["ratio"] and row["figure"] not in by_figure
    )
    if without:
        lines.append(f"- Without a goal: {', '.join(without)}.")
    below, of = sum(len(missed(row)) for row in rows), sum(len(row["ratio"]) for row in rows)
    return ["Goals:", "\n".join([*lines, f"- Missed by {below} of {of} ratios that have one (✗)."])]


def table(rows: Sequence[Sequence[str]]) -> str:
    """Markdown; the first row is the header."""
    header, *rest = rows
    lines = [header, ["---"] * len(header), *rest]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _compared(saved: Saved) -> list[list[list[str]]]:
    """A table for each set of peers."""
    tables: dict[tuple[str, ...], list[list[str]]] = {}
    for row in saved["rows"]:
        peers = tuple(row["ratio"])
        if not peers:
            continue
        found = tables.setdefault(peers, [["", "", *(f"against {_named(peer)}" for peer in peers)]])
        below = missed(row)
        cells = [
            f"{_decimals(row['ratio'][peer])}{' ✗' if peer in below else ''} "
            f"({_decimals(low)} to {_decimals(high)})"
            for peer, (low, high) in row["quartiles"].items()
        ]
        found.append([row["what"], row["figure"], *cells])
    return list(tables.values())


def _alone(saved: Saved) -> list[list[str]]:
    """Rows that are not compared by ratio: the figures themselves, of several programs side by side."""
    rows = [row for row in saved["rows"] if not row["ratio"]]
    names = list(dict.fromkeys(name for row in rows for name in row["samples"]))
    head = "median (least to most)"
    found = [[head, "", *map(_named, names)] if len(names) > 1 else ["", "", head]]
    for row in rows:
        cells = [
            _figure(row["median"][name], row["samples"][name], row["unit"]) if name in row["samples"] else ""
            for name in names
        ]
        found.append([row["what"], row["figure"], *cells])
    return found if rows else []


def _figure(median: float, samples: Sequence[float], unit: str) -> str:
    extent = f" ({_digits(min(samples))} to {_digits(max(samples))})" if len(samples) > 1 else ""
    return f"{_digits(median)}{' ' * bool(unit)}{unit}{extent}"


def _digits(number: float) -> str:
    """The first three; the others of a large number are zeros, for nobody reads `1.2e+03`."""
    return f"{float(f'{number:.3g}'):,.0f}" if abs(number) >= THOUSAND else f"{number:.3g}"


def picture(results: Sequence[Saved]) -> str:
    """Ratios as bars from a line at 1, as SVG."""
    pictured = [saved for saved in results if saved["section"] in PICTURED]
    rows = [row for saved in pictured for row in saved["rows"] if row["ratio"] and row.get("drawn", True)]
    peers = list(dict.fromkeys(peer for row in rows for peer in row["ratio"]))
    colour = {peer: COLOURS[number % len(COLOURS)] for number, peer in enumerate(peers)}
    one = _x_of(1.0)
    lines = []
    for number, peer in enumerate(peers):
        at = 10 + number * (WIDTH - 20) // len(peers)
        lines.append(f'<rect x="{at}" y="8" width="12" height="12" fill="{colour[peer]}"/>')
        lines.append(f'<text x="{at + 18}" y="19" font-size="12">against {escape(_named(peer))}</text>')
    top = TOP
    for row in rows:
        what = escape(f"{row['what']}: {row['figure']}")
        lines.append(f'<text x="{LEFT - 10}" y="{top + BAR - 2}" text-anchor="end">{what}</text>')
        for peer, ratio in row["ratio"].items():
            start, end = sorted((one, _x_of(ratio)))
            extent = f'width="{max(end - start, 1)}" height="{BAR - 2}"'
            lines.append(f'<rect x="{start}" y="{top}" {extent} fill="{colour[peer]}"/>')
            mark = " ✗" if peer in missed(row) else ""
            lines.append(f'<text x="{max(end, one) + 6}" y="{top + BAR - 3}">{_decimals(ratio)}{mark}</text>')
            top += BAR
        top += GAP
    lines.append(f'<line x1="{one}" x2="{one}" y1="{TOP - 4}" y2="{top - GAP}" stroke="black"/>')
    size = f'width="{WIDTH}" height="{top}"'
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">',
        f'<rect {size} fill="white"/>',
    ]
    return "\n".join([*head, *lines, "</svg>"]) + "\n"


def _x_of(ratio: float) -> int:
    """Horizontal position of a ratio."""
    return LEFT + round((WIDTH - LEFT - RIGHT) * min(ratio, SCALE_END) / SCALE_END)
