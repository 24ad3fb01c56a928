"""What the command line of a drill says. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

WHAT = ("gateway", "app", "link")
SHORTEST_SECONDS = 10
LONGEST_SECONDS = 900
MOST_CALLS = 200
"""A second, of all client pods together."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the command line says. `lose` is a cluster or one of WHAT, with clusters behind colons."""

    lose: str
    seconds: float
    rate: float
    path: str = "/"
    services: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


def seconds(text: str) -> float:
    """A time such as 60s, 2m or 90. Raises ValueError."""
    found = re.fullmatch(r"(\d+)(s|m|)", text)
    if found is None:
        raise ValueError(f"{text!r} is no time: give one such as 60s or 2m")
    number = float(found[1]) * (60 if found[2] == "m" else 1)
    if not SHORTEST_SECONDS <= number <= LONGEST_SECONDS:
        raise ValueError(f"{text!r}: from {SHORTEST_SECONDS} s to {LONGEST_SECONDS} s")
    return number


def rate(text: str) -> float:
    """Calls a second. Raises ValueError."""
    if not text.isdigit() or not 1 <= int(text) <= MOST_CALLS:
        raise ValueError(f"{text!r}: from 1 to {MOST_CALLS} calls a second")
    return float(text)


def path(text: str) -> str:
    """The path that is asked for. Raises ValueError."""
    if not re.fullmatch(r"/[!-~]*", text) or "#" in text:
        raise ValueError(f"{text!r} is no path: give one such as /ports")
    return text
