"""The layout: callers on the left, exporters on the right, the control plane above, Redis below. Pure.

Calls cross the middle. What every cluster has, the hub and the state store, runs along the outer sides, so
that nothing but calls is ever between two columns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cli.graph import svg
from cli.graph.picture import Card, Link, Picture

CARD, PLANE, MIDDLE, SIDE, GAP = 320.0, 400.0, 330.0, 76.0, 22.0
HEAD = 58.0
HUB_RAIL, STORE_RAIL = 28.0, 52.0
LINE = 17.0
NARROW = 0.54  # width of a letter of running text, in parts of its size; labels are set wider
MUTED, RED, GREEN, TEAL, GREY = "#6b7280", "#dc2626", "#16a34a", "#0d9488", "#94a3b8"
COLOURS = {"ActiveActive": "#2563eb", "FailOver": "#d97706", "Locality": "#7c3aed"}
WIDTH = SIDE + CARD + MIDDLE + CARD + SIDE


@dataclass(frozen=True)
class Box:
    """Where a card is."""

    card: Card
    x: float
    y: float
    width: float
    height: float

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.y + self.height


def draw(picture: Picture) -> str:
    """The picture as SVG."""
    plane = Box(picture.plane, (WIDTH - PLANE) / 2, HEAD + 20, PLANE, height(picture.plane))
    top = plane.bottom + 46
    left = list(_column([card for card in picture.members if not card.exports], SIDE, top))
    right = list(_column([card for card in picture.members if card.exports], SIDE + CARD + MIDDLE, top))
    bottom = max([box.bottom for box in (*left, *right)], default=top)
    redis = Box(_redis_card(picture), (WIDTH - 250) / 2, bottom + 34, 250, 46)
    boxes = {box.card.name: box for box in (plane, *left, *right)}
    parts = [
        svg.words(SIDE, 42, picture.title, size=22, weight=700),
        svg.words(SIDE + svg.width_of(picture.title, 22) + 14, 42, picture.subtitle, size=14, fill=MUTED),
        *_hub_rails(plane, left, right),
        *_store_rails(redis, left, right),
        *(_links(picture.links, boxes) if picture.links else [_nothing_crosses(top)]),
        *(_card(box) for box in (plane, *left, *right)),
        *_redis(redis),
        *_legend(picture, redis.bottom + 44),
    ]
    return svg.document(WIDTH, redis.bottom + 72, f"{picture.title} {picture.subtitle}", parts)


def height(card: Card) -> float:
    """How tall a card has to be."""
    lines = len(card.notes) + bool(card.error)
    return 62 + lines * LINE + len(card.policies) * 25


def _column(cards: Sequence[Card], x: float, y: float) -> Iterator[Box]:
    for card in cards:
        box = Box(card, x, y, CARD, height(card))
        yield box
        y = box.bottom + GAP


def _card(box: Box) -> str:
    card = box.card
    fill, edge = ("#eff6ff", "#93c5fd") if card.exports else ("#f8fafc", "#cbd5e1")
    if box.width == PLANE:
        fill, edge = "#f5f3ff", "#c4b5fd"
    if card.state == "bad":
        fill, edge = "#fef2f2", RED
    x, y = box.x + 16, box.y + 25
    key_end = box.x + box.width - (16 if card.state == "planned" else 34)
    parts = [
        svg.element("title", text=f"{card.name} ({card.key})"),
        _frame(box, 10, fill, edge),
        svg.words(x, y, card.name, size=15, weight=700),
        svg.words(key_end, y, card.key, size=10, fill=MUTED, anchor="end"),
        svg.words(x, y + 18, card.address, size=11, fill=MUTED),
    ]  # fmt: skip
    if card.state != "planned":
        colour = GREEN if card.state == "good" else RED
        parts.append(svg.element("circle", cx=box.x + box.width - 20, cy=y - 4, r=5, fill=colour))
    y += 38
    for note in card.notes:
        parts.append(svg.words(x, y, _fitting(note, box.width - 32), size=12))
        y += LINE
    if card.error:
        parts.append(svg.words(x, y, _fitting(card.error, box.width - 32, 13), size=12, fill=RED, weight=600))
        y += LINE
    for policy in card.policies:
        notes = [policy.note] if policy.followed else ["not programmed"]
        text = ", ".join([f"{policy.service}: {policy.lb_type}", *filter(None, notes)])
        colour = COLOURS.get(policy.lb_type, MUTED) if policy.followed else RED
        parts.append(svg.pill(x, y + 2, _fitting(text, box.width - 46, 11), fill=colour, ink="#ffffff"))
        y += 25
    return svg.element("g", *parts)


def _frame(box: Box, rounding: float, fill: str, edge: str) -> str:
    return svg.element(
        "rect", x=box.x, y=box.y, width=box.width, height=box.height, rx=rounding, fill=fill, stroke=edge
    )


def _fitting(text: str, width: float, size: float = 12) -> str:
    most = int(width / (size * NARROW))
    return text if len(text) <= most else text[: most - 1] + "…"


def _path(d: str, colour: str, *, width: float = 1.6, dash: str = "", marker: str = "") -> str:
    extra = {"stroke_dasharray": dash} if dash else {}
    extra |= {"marker_end": marker} if marker else {}
    return svg.element("path", d=d, fill="none", stroke=colour, stroke_width=width, **extra)


def _hub_rails(plane: Box, left: Sequence[Box], right: Sequence[Box]) -> Iterator[str]:
    """From the hub down both outer sides, with a branch to every member."""
    y = plane.y + plane.height / 2
    for column, rail, edge in ((left, HUB_RAIL, plane.x), (right, WIDTH - HUB_RAIL, plane.x + plane.width)):
        if not column:
            continue
        turn = 10 if rail < edge else -10
        yield _path(
            f"M{edge:.1f} {y:.1f} H{rail + turn:.1f} Q{rail:.1f} {y:.1f} {rail:.1f} {y + 10:.1f} "
            f"V{column[-1].y + 22:.1f}",
            GREY,
            dash="5 4",
        )
        for box in column:
            near = box.x if rail < box.x else box.x + box.width
            colour = GREY if box.card.joined else RED
            yield _path(f"M{rail:.1f} {box.y + 22:.1f} H{near:.1f}", colour, dash="5 4")


def _store_rails(redis: Box, left: Sequence[Box], right: Sequence[Box]) -> Iterator[str]:
    """From every user of the state store down the outer sides to Redis."""
    y = redis.y + redis.height / 2
    colour = RED if redis.card.state == "bad" else TEAL
    for column, rail, edge in (
        (left, STORE_RAIL, redis.x), (right, WIDTH - STORE_RAIL, redis.x + redis.width),
    ):  # fmt: skip
        users = [box for box in column if box.card.store]
        if not users:
            continue
        turn = 10 if rail < edge else -10
        yield _path(
            f"M{rail:.1f} {users[0].bottom - 18:.1f} V{y - 10:.1f} "
            f"Q{rail:.1f} {y:.1f} {rail + turn:.1f} {y:.1f} H{edge:.1f}",
            colour,
        )
        for box in users:
            near = box.x if rail < box.x else box.x + box.width
            yield _path(f"M{rail:.1f} {box.bottom - 18:.1f} H{near:.1f}", colour)


def _links(links: Sequence[Link], boxes: dict[str, Box]) -> Iterator[str]:
    """Calls, each with its own point on the edges of both cards, and its label where there is more room."""
    shown = [link for link in links if link.source in boxes and link.target in boxes]
    colours = {_colour(link) for link in shown}
    yield svg.element("defs", *(_arrow(colour) for colour in sorted(colours)))
    leaving, arriving = defaultdict(list), defaultdict(list)
    for link in shown:
        leaving[link.source].append(link)
        arriving[link.target].append(link)
    for link in shown:
        source, target = boxes[link.source], boxes[link.target]
        y1 = _place(source, leaving[link.source], link, boxes)
        y2 = _place(target, arriving[link.target], link, boxes)
        fan_out = len(leaving[link.source]) >= len(arriving[link.target])
        yield from _call(link, source, target, y1, y2, at=0.84 if fan_out else 0.16)


def _nothing_crosses(y: float) -> str:
    text = "no policy lets calls leave their cluster"
    return svg.words(WIDTH / 2, y + 50, text, size=13, fill=MUTED, anchor="middle")


def _place(box: Box, links: list[Link], link: Link, boxes: dict[str, Box]) -> float:
    def other(one: Link) -> tuple[float, str]:
        far = boxes[one.target if one.source == box.card.name else one.source]
        return far.y, one.lb_type

    position = sorted(links, key=other).index(link)
    return box.y + box.height * (position + 1) / (len(links) + 1)


def _call(link: Link, source: Box, target: Box, y1: float, y2: float, *, at: float) -> Iterator[str]:
    colour = _colour(link)
    across = source.x < target.x
    x1 = source.x + source.width if across else source.x
    x2 = target.x - 4 if across or source.x == target.x else target.x + target.width + 4
    reach = MIDDLE * 0.5 if across else -(70 + abs(y2 - y1) * 0.25)
    xs, ys = (x1, x1 + reach, x2 - reach if across else x2 + reach, x2), (y1, y1, y2, y2)
    curve = (
        f"M{xs[0]:.1f} {ys[0]:.1f} C{xs[1]:.1f} {ys[1]:.1f} {xs[2]:.1f} {ys[2]:.1f} {xs[3]:.1f} {ys[3]:.1f}"
    )
    thin = 1.2 if link.idle else 2.2
    dash = "2 5" if link.idle else "8 4" if link.lb_type == "FailOver" else ""
    yield _path(curve, colour, width=thin, dash=dash, marker=f"url(#arrow-{colour[1:]})")
    x, y = _bezier(xs, at), _bezier(ys, at)
    yield svg.pill(x - svg.pill_width(link.label) / 2, y, link.label, fill="#ffffff", ink=colour)


def _bezier(points: tuple[float, float, float, float], at: float) -> float:
    a, b, c, d = points
    back = 1 - at
    return back**3 * a + 3 * back**2 * at * b + 3 * back * at**2 * c + at**3 * d


def _colour(link: Link) -> str:
    if link.state == "bad":
        return RED
    return GREY if link.idle else COLOURS.get(link.lb_type, MUTED)


def _arrow(colour: str) -> str:
    return svg.element(
        "marker",
        svg.element("path", d="M0 0 L8 4 L0 8 Z", fill=colour),
        id=f"arrow-{colour[1:]}", viewBox="0 0 8 8", refX=6, refY=4, markerWidth=9, markerHeight=9,
        markerUnits="userSpaceOnUse", orient="auto",
    )  # fmt: skip


def _redis_card(picture: Picture) -> Card:
    return Card(name="Redis", key="", address=picture.redis, state=picture.redis_state)


def _redis(box: Box) -> Iterator[str]:
    bad = box.card.state == "bad"
    fill, edge = ("#fef2f2", RED) if bad else ("#f0fdfa", "#5eead4")
    x, y = box.x + box.width / 2, box.y + 20
    yield svg.element(
        "rect", x=box.x, y=box.y, width=box.width, height=box.height, rx=23, fill=fill, stroke=edge
    )
    yield svg.words(x, y, "Redis, the state store", size=13, weight=700, anchor="middle")
    yield svg.words(x, y + 16, "stopped" if bad else box.card.address, size=11, fill=RED if bad else MUTED,
                    anchor="middle")  # fmt: skip


def _legend(picture: Picture, y: float) -> Iterator[str]:
    """Only what occurs."""
    types = dict.fromkeys(link.lb_type for link in picture.links if not link.idle and link.state != "bad")
    rows = [(COLOURS.get(each, MUTED), "8 4" if each == "FailOver" else "", each) for each in types]
    if any(link.idle and link.state != "bad" for link in picture.links):
        rows.append((GREY, "2 5", "gets nothing now"))
    if any(link.state == "bad" for link in picture.links):
        rows.append((RED, "", "broken"))
    rows += [(GREY, "5 4", "hub: exports in, imports out"), (TEAL, "", "state store")]
    x = SIDE
    for colour, dash, text in rows:
        yield _path(f"M{x:.1f} {y:.1f} H{x + 28:.1f}", colour, width=2, dash=dash)
        yield svg.words(x + 36, y + 4, text, size=12, fill=MUTED)
        x += 36 + svg.width_of(text, 12) + 26
