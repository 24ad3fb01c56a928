"""What `./stack status` shows of calls between clusters: over what they go, and by whose word. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from rich.markup import escape
from rich.table import Table

from cli.doctor.lifetimes import span
from cli.observe.between import Pair, is_asked_for, pairs
from cli.observe.view import Platform


def as_json(platform: Platform) -> list[dict[str, Any]]:
    """Every pair for machines; `roots` by cluster key, `until` in UTC."""
    return [
        {
            "caller": pair.caller,
            "callee": pair.callee,
            "over": pair.over,
            "roots": {pair.caller: list(pair.caller_roots), pair.callee: list(pair.callee_roots)},
            "until": datetime.fromtimestamp(pair.until, UTC).isoformat() if pair.until is not None else None,
            "fault": pair.fault,
        }
        for pair in pairs(platform)
    ]


def render(platform: Platform, table: Callable[..., Table]) -> Iterator[Table | str]:
    """A row for each pair; one line for all while nobody has to prove anything."""
    found = pairs(platform)
    if not found:
        return
    if not is_asked_for(platform):
        yield f"Between clusters: {found[0].over}, {found[0].fault}."
        return
    shown = table("Between clusters", "", "callers", "ask", "over", "by roots", "until")
    for pair in found:
        fine = pair.over == "mutual TLS" and not pair.fault
        over = f"{pair.over}: {pair.fault}" if pair.fault else pair.over
        names = platform.short(pair.caller), platform.short(pair.callee)
        shown.add_row(
            "✔" if fine else "✗", *names, escape(over), _roots(platform, pair), _until(platform, pair)
        )
    yield shown


def _roots(platform: Platform, pair: Pair) -> str:
    by_cluster = ((pair.caller, pair.caller_roots), (pair.callee, pair.callee_roots))
    return ", ".join(f"{platform.short(key)} {root}" for key, roots in by_cluster for root in roots)


def _until(platform: Platform, pair: Pair) -> str:
    if pair.until is None:
        return "-"
    left = pair.until - platform.at
    return f"in {span(left)}" if left > 0 else f"{span(-left)} ago"
