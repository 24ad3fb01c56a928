"""What `./stack status` shows of calls between clusters: over what they go, and by whose word. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.markup import escape
from rich.table import Table

from cli.choices import BETWEEN
from cli.doctor.lifetimes import span
from cli.observe.between import Pair, is_asked_for, pairs
from cli.observe.view import Platform
from cli.status.chosen import ALL, Chosen


def as_json(platform: Platform, chosen: Chosen = ALL) -> list[dict[str, Any]]:
    """Every pair that is wanted, for machines; `roots` by cluster key, `until` in UTC.

    `callee` is null where it is not known whom a cluster asks.
    """
    return [
        {
            "caller": pair.caller,
            "callee": pair.callee or None,
            "over": pair.over,
            "roots": {
                key: list(roots)
                for key, roots in ((pair.caller, pair.caller_roots), (pair.callee, pair.callee_roots))
                if key
            },
            "until": datetime.fromtimestamp(pair.until, UTC).isoformat() if pair.until is not None else None,
            "fault": pair.fault,
            "plain": pair.plain,
        }
        for pair in _wanted(platform, chosen)
    ]


def _wanted(platform: Platform, chosen: Chosen) -> Sequence[Pair]:
    """Pairs are of no service: who asks for one is not shown them."""
    if not chosen.kind(BETWEEN) or chosen.namespaces or chosen.services:
        return ()
    asked_for = is_asked_for(platform)
    return [
        pair
        for pair in pairs(platform)
        if any(chosen.cluster(platform.short(key)) for key in (pair.caller, pair.callee))
        and chosen.state(well=not asked_for or _is_well(pair))
    ]


def _is_well(pair: Pair) -> bool:
    return pair.over == "mutual TLS" and not pair.fault


def render(platform: Platform, chosen: Chosen, table: Callable[..., Table]) -> Iterator[Table | str]:
    """A row for each pair that is wanted; one line for all while nobody has to prove anything."""
    found = _wanted(platform, chosen)
    if not found:
        return
    if not is_asked_for(platform):
        known = next((pair for pair in found if pair.callee), None)
        if known is not None:
            yield f"Between clusters: {known.over}, {known.fault}."
        return
    shown = table("Between clusters", "", "callers", "ask", "over", "by roots", "until")
    for pair in found:
        over = f"{pair.over}, and plain HTTP counts" if pair.plain else pair.over
        over += f": {pair.fault}" if pair.fault else ""
        names = platform.short(pair.caller), platform.short(pair.callee)
        shown.add_row(
            "✔" if _is_well(pair) else "✗",
            *names,
            escape(over),
            _roots(platform, pair),
            _until(platform, pair),
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
