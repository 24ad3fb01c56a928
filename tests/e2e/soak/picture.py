"""A run as a picture: memory of each process, and the good traffic of each minute. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from xml.sax.saxutils import escape

from e2e.soak.report import Good, quantile
from e2e.soak.samples import Series

WIDTH, HEIGHT, LEFT, RIGHT, TOP = 760, 200, 60, 230, 30
COLOURS = ("#1b6ca8", "#d1495b", "#2e933c", "#edae49", "#6a4c93", "#00798c", "#8d5524", "#555555", "#b5179e")
Curve = tuple[str, Sequence[tuple[float, float]]]
"""A name, and minutes with values."""


def draw(good: Good, processes: Mapping[str, Series]) -> str:
    """SVG of three panels over the minutes of the run."""
    memory: list[Curve] = []
    for name, series in sorted(processes.items()):
        points = [
            ((at - good.began) / 60, size) for at, size in zip(series.at, series.mebibytes, strict=True)
        ]
        memory.append((name.rpartition(" ")[0], points))
    slow: list[Curve] = []
    for name, lane in sorted(good.lanes.items()):
        slow.append(
            (
                name,
                [
                    (minute, 1000 * quantile(sorted(one.seconds), 0.99))
                    for minute, one in sorted(lane.items())
                ],
            )
        )
    counts: dict[int, list[int]] = {}
    for lane in good.lanes.values():
        for minute, one in lane.items():
            both = counts.setdefault(minute, [0, 0])
            both[0] += len(one.seconds)
            both[1] += one.failed
    asked: list[Curve] = [
        ("requests", [(minute, both[0]) for minute, both in sorted(counts.items())]),
        ("failed", [(minute, both[1]) for minute, both in sorted(counts.items())]),
    ]
    panels = (
        ("memory, MiB", memory),
        ("slowest of a hundred good requests, ms", slow),
        ("good requests a minute", asked),
    )
    size = f'width="{WIDTH}" height="{len(panels) * (HEIGHT + TOP) + 30}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="10">'
    parts = [head, f'<rect {size} fill="white"/>']
    for number, (title, lines) in enumerate(panels):
        parts += _panel(title, lines, number * (HEIGHT + TOP) + TOP)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(title: str, lines: Sequence[Curve], top: int) -> Iterable[str]:
    points = [point for _, line in lines for point in line]
    last, most = (max((point[axis] for point in points), default=0.0) or 1.0 for axis in (0, 1))
    right, bottom = WIDTH - RIGHT, top + HEIGHT - 20
    yield f'<text x="{LEFT}" y="{top - 8}" font-size="12">{escape(title)}</text>'
    yield f'<path d="M{LEFT},{top}V{bottom}H{right}" fill="none" stroke="black"/>'
    for part in (0.0, 0.5, 1.0):
        y = bottom - part * (bottom - top)
        yield f'<text x="{LEFT - 6}" y="{y + 3:.0f}" text-anchor="end">{part * most:.3g}</text>'
        x = LEFT + part * (right - LEFT)
        yield f'<text x="{x:.0f}" y="{bottom + 14}" text-anchor="middle">{part * last:.3g} min</text>'
    for number, (name, line) in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(
            f"{LEFT + at / last * (right - LEFT):.1f},{bottom - value / most * (bottom - top):.1f}"
            for at, value in line
            if at >= 0
        )
        yield f'<polyline points="{path}" fill="none" stroke="{colour}"/>'
        yield f'<text x="{right + 10}" y="{top + 12 * (number + 1)}" fill="{colour}">{escape(name)}</text>'
