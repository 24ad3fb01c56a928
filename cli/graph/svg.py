"""The few SVG elements that a picture of boxes, lines and words needs. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

FONT = "ui-sans-serif, system-ui, 'Segoe UI', 'Helvetica Neue', 'DejaVu Sans', sans-serif"
LETTER = 0.58
"""Mean width of a letter in parts of the font size; wide enough for bold text in the fonts above."""


def element(name: str, *children: str, text: str = "", **attributes: float | str) -> str:
    """One element. Underscores in attribute names become hyphens; numbers are written short."""
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}={quoteattr(_value(value))}"
        for key, value in attributes.items()
    )
    if not children and not text:
        return f"<{name}{written}/>"
    if text:
        return f"<{name}{written}>{escape(text)}</{name}>"
    inside = "\n".join(children)
    return f"<{name}{written}>\n{inside}\n</{name}>"


def _value(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")


def document(width: float, height: float, title: str, parts: Iterable[str]) -> str:
    """A whole picture on a white ground."""
    return (
        element(
            "svg",
            element("title", text=title),
            element("rect", width=width, height=height, fill="#ffffff"),
            *parts,
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {_value(width)} {_value(height)}",
            width=width,
            height=height,
            font_family=FONT,
            role="img",
        )
        + "\n"
    )


def words(
    x: float,
    y: float,
    text: str,
    *,
    size: float = 12,
    fill: str = "#1f2937",
    weight: int = 400,
    anchor: str = "start",
) -> str:
    """One line of text; `y` is its baseline."""
    return element(
        "text", text=text, x=x, y=y, font_size=size, fill=fill, font_weight=weight, text_anchor=anchor
    )


def width_of(text: str, size: float) -> float:
    """About how wide a text is."""
    return len(text) * size * LETTER


def pill(x: float, y: float, text: str, *, fill: str, ink: str, size: float = 11) -> str:
    """A rounded label; (x, y) is the middle of its left edge."""
    width = width_of(text, size) + 14
    return element(
        "g",
        element("rect", x=x, y=y - 9, width=width, height=18, rx=9, fill=fill),
        words(x + width / 2, y + size * 0.36, text, size=size, fill=ink, weight=500, anchor="middle"),
    )


def pill_width(text: str, size: float = 11) -> float:
    """How wide pill() makes it."""
    return width_of(text, size) + 14
