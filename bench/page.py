"""docs/benchmarks.md and its picture, out of bench/results. Pure: text in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

TITLES = {
    "proxy": "Throughput and latency",
    "memory": "Memory per connection",
    "policy": "From a policy's change to the first request that follows it",
    "failover": "When a cluster dies under load",
    "stack": "Whole environments",
}
WIDTH, LEFT, RIGHT, LINE = 920, 430, 60, 26
SCALE_END = 2.0
"""Ratio at the picture's right edge; longer bars are cut there and say their number."""

COLOURS = ("#2f6f9f", "#c2702f", "#5a8f4f", "#8a5a9f")

INTRODUCTION = """\
Written by `./stack bench`; change nothing here by hand. Every ratio is the gateway against a peer in the same
round of the same run, by turns on the same cores, and the median of the rounds: **above 1 the gateway is
better**, below 1 the peer is, whatever is measured.
In brackets how far apart the quartiles of the gateway's and of the peer's samples are, as a part of their
medians. What the gateway loses stands here like what it wins. The peers' configurations are in `bench/peers`,
all samples in `bench/results`."""

Saved = Mapping[str, Any]
"""One file of bench/results."""


def page(results: Sequence[Saved]) -> str:
    """The whole document."""
    parts = ["# Benchmarks", INTRODUCTION, "![The gateway against its peers](benchmarks.svg)"]
    for saved in results:
        parts.append(f"## {TITLES.get(saved['section'], saved['section'])}")
        parts += [table(rows) for rows in (_compared(saved), _alone(saved)) if rows]
        parts += [f"- {note}" for note in saved["notes"]]
        parts.append(f"Machine: {', '.join(f'{name} {value}' for name, value in saved['machine'].items())}.")
    return "\n\n".join(parts) + "\n"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Markdown; the first row is the header."""
    header, *rest = rows
    lines = [header, ["---"] * len(header), *rest]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _compared(saved: Saved) -> list[list[str]]:
    rows = [row for row in saved["rows"] if row["ratio"]]
    peers = list(dict.fromkeys(peer for row in rows for peer in row["ratio"]))
    found = [["", "", *(f"against {peer}" for peer in peers)]]
    for row in rows:
        cells = [
            f"{row['ratio'][peer]:.2f} ({row['spread']['gateway']:.2f}, {row['spread'][peer]:.2f})"
            if peer in row["ratio"]
            else ""
            for peer in peers
        ]
        found.append([row["what"], row["figure"], *cells])
    return found if rows else []


def _alone(saved: Saved) -> list[list[str]]:
    """Rows without a peer: the figures themselves."""
    rows = [row for row in saved["rows"] if not row["ratio"]]
    found = [["", "", "median", "least to most"]]
    for row in rows:
        for name, samples in row["samples"].items():
            unit = f" {row['unit']}" if row["unit"] else ""
            figure = row["figure"] if name == "gateway" else f"{row['figure']}, {name}"
            extent = f"{min(samples):.3g} to {max(samples):.3g}{unit}"
            found.append([row["what"], figure, f"{row['median'][name]:.3g}{unit}", extent])
    return found if rows else []


def picture(results: Sequence[Saved]) -> str:
    """Ratios as bars from a line at 1, as SVG."""
    bars = [
        (f"{row['what']}: {row['figure']}", peer, ratio)
        for saved in results
        for row in saved["rows"]
        for peer, ratio in row["ratio"].items()
    ]
    peers = list(dict.fromkeys(peer for _, peer, _ in bars))
    colour = {peer: COLOURS[number % len(COLOURS)] for number, peer in enumerate(peers)}
    height = LINE * (len(bars) + 2)
    one = _place(1.0)
    size = f'width="{WIDTH}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        f'<rect {size} fill="white"/>',
    ]
    at = LEFT
    for peer in peers:
        lines.append(f'<rect x="{at}" y="8" width="12" height="12" fill="{colour[peer]}"/>')
        lines.append(f'<text x="{at + 18}" y="19">against {escape(peer)}</text>')
        at += 150
    before = ""
    for number, (what, peer, ratio) in enumerate(bars, 1):
        top = LINE * number + 10
        start, end = sorted((one, _place(ratio)))
        if what != before:
            lines.append(f'<text x="{LEFT - 10}" y="{top + 13}" text-anchor="end">{escape(what)}</text>')
            before = what
        extent = f'width="{max(end - start, 1)}" height="{LINE - 8}"'
        lines.append(f'<rect x="{start}" y="{top}" {extent} fill="{colour[peer]}"/>')
        lines.append(f'<text x="{max(end, one) + 6}" y="{top + 13}">{ratio:.2f}</text>')
    lines.append(f'<line x1="{one}" x2="{one}" y1="{LINE}" y2="{height - 6}" stroke="black"/>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def _place(ratio: float) -> int:
    """Horizontal place of a ratio."""
    return LEFT + round((WIDTH - LEFT - RIGHT) * min(ratio, SCALE_END) / SCALE_END)
