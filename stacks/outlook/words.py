"""Who would serve whom, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stacks.outlook.assumed import Assumed
from stacks.outlook.outlook import OUTSIDE, Outlook, Row, Served

NOBODY = "nobody: refused"
ASSUMED = "apps have ready pods wherever the settings deploy them"
CLUSTER_SET = "svc.clusterset.local"


def assumptions(assumed: Assumed) -> str:
    """What is taken for granted, as nobody was asked."""
    others = sorted({"/".join(key) for _, key in assumed.others})
    return ASSUMED + (f", and so have Services of others: {', '.join(others)}" if others else "")


def words(row: Row, names: Mapping[str, str]) -> str:
    """Who serves a row's callers, and those of them whose requests match. `names`: of clusters, by key."""
    said = [_served(row.served, names) + (f" (local pods directly: {row.direct})" if row.direct else "")]
    said += [f"requests that match {headers}: {_served(served, names)}" for headers, served in row.matches]
    return "; ".join(said)


def _served(served: Served, names: Mapping[str, str]) -> str:
    parts = [
        " ".join(filter(None, (names.get(key, key), backend, part(percent))))
        for key, backend, percent in served.parts
        if percent
    ]
    if served.refused:
        parts.append(NOBODY if not parts else f"{served.refused:.4g} % refused")
    return ", ".join(parts)


def part(percent: float) -> str:
    """A part of the requests as people read it: in whole percent, unless that would hide some."""
    rounded = 1 <= percent <= 99 or percent in {0, 100}
    return f"{percent:.0f} %" if rounded else f"{percent:.4g} %"


def merged(outlook: Outlook) -> Iterator[tuple[str, Row]]:
    """Rows with their callers in words; those who get the same by all names, whatever is lost, are one."""
    seen: dict[tuple[object, ...], list[Row]] = {}
    lost = {key: {row.id: row for row in rows} for key, rows in outlook.lost.items()}
    for row in outlook.rows:
        changed = tuple(
            (key, rows[row.id].served, rows[row.id].matches) for key, rows in lost.items() if row.id in rows
        )
        same = (row.client, row.where, row.served, row.matches, row.direct, changed)
        seen.setdefault(same, []).append(row)
    for rows in seen.values():
        callers = [caller for row in rows for caller in row.callers]
        outside = f"from outside, {rows[0].where.partition(' ')[2]}"
        yield outside if callers[0] == OUTSIDE else ", ".join(map(_short, callers)), rows[0]


def _short(caller: str) -> str:
    """The cluster set's name without what the Service's own name says already."""
    return CLUSTER_SET if caller.endswith(f".{CLUSTER_SET}") else caller
