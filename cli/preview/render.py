"""The table of who would serve whom. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.markup import escape
from rich.table import Table

from cli.observe.callers import CLUSTER_SET
from cli.observe.serving import ServingCluster, parts_of
from cli.observe.view import DEFAULT_WEIGHT
from cli.preview.objects import Assumed
from cli.preview.outlook import OUTSIDE, Finding, Outlook, Row, Served

NOBODY = "nobody: refused"
ASSUMED = "Assumed: apps have ready pods wherever the settings deploy them"


def table(environment: str, outlook: Outlook, before: Outlook | None, names: Mapping[str, str]) -> Table:
    """Who serves whom. `before`: as the last `up` left it, None when there was none; `names` by key."""
    made = Table(title=f"Who would serve whom in {environment}", title_justify="left")
    columns = ["callers", "service", "policy", "served by", "with a cluster lost"]
    for column in [*columns, *(["now"] if before is not None else [])]:
        made.add_column(column, overflow="fold")
    lost = {key: {row.id: row for row in rows} for key, rows in outlook.lost.items()}
    then = {row.id: row for row in before.rows} if before is not None else {}
    for callers, row in _merged(outlook):
        changes = [
            f"{names[key]}: {words(rows[row.id], names)}" for key, rows in lost.items() if row.id in rows
        ]
        cells = [
            f"{names[row.client]}: {callers}", f"{row.service}:{row.port}", row.policy, words(row, names),
            "\n".join(changes) or "the same",
        ]  # fmt: skip
        made.add_row(*map(escape, [*cells, *([_now(row, then, names)] if before is not None else [])]))
    for row in before.rows if before is not None else ():
        if row.id not in {one.id for one in outlook.rows}:
            who = f"{names.get(row.client, row.client)}: {', '.join(row.callers)}"
            made.add_row(*map(escape, [who, f"{row.service}:{row.port}", "-", "gone", "", words(row, names)]))
    return made


def lines(outlook: Outlook, assumed: Assumed, found: Sequence[Finding]) -> Iterator[str]:
    """What stands below the table."""
    others = sorted({"/".join(key) for _, key in assumed.others})
    yield ASSUMED + (f", and so have Services of others: {escape(', '.join(others))}." if others else ".")
    for problem in outlook.problems:
        yield f"[yellow]![/yellow] {escape(problem)}"
    for one in found:
        mark = "[red]✗[/red]" if one.level == "error" else "[yellow]![/yellow]"
        yield f"{mark} {escape(one.text)}"


def words(row: Row, names: Mapping[str, str]) -> str:
    """Who serves a row's callers, and those of them whose requests match."""
    said = [_served(row.served, names) + (f" (local pods directly: {row.direct})" if row.direct else "")]
    said += [f"requests that match {headers}: {_served(served, names)}" for headers, served in row.matches]
    return "; ".join(said)


def _served(served: Served, names: Mapping[str, str]) -> str:
    shares = tuple(
        ServingCluster(
            cluster=key, weight=DEFAULT_WEIGHT, percent=percent, remote=True, ejected=False, backend=backend
        )
        for key, backend, percent in served.parts
    )
    parts = parts_of(shares, lambda key: names.get(key, key))
    if served.refused:
        parts.append(NOBODY if not parts else f"{served.refused:.4g} % refused")
    return ", ".join(parts)


def _now(row: Row, then: Mapping[tuple[str, str, str], Row], names: Mapping[str, str]) -> str:
    found = then.get(row.id)
    if found is None:
        return "not there"
    return "the same" if (found.served, found.matches) == (row.served, row.matches) else words(found, names)


def _merged(outlook: Outlook) -> Iterator[tuple[str, Row]]:
    """Rows with their callers in words; those who get the same by all names, whatever is lost, are one."""
    seen: dict[tuple[object, ...], list[Row]] = {}
    for row in outlook.rows:
        lost = tuple(
            (key, changed.served, changed.matches)
            for key, rows in outlook.lost.items() for changed in rows if changed.id == row.id
        )  # fmt: skip
        same = (row.client, row.where, row.served, row.matches, row.direct, lost)
        seen.setdefault(same, []).append(row)
    for rows in seen.values():
        callers = [caller for row in rows for caller in row.callers]
        outside = f"from outside, {rows[0].where.partition(' ')[2]}"
        yield outside if callers[0] == OUTSIDE else ", ".join(map(_short, callers)), rows[0]


def _short(caller: str) -> str:
    """The cluster set's name without what the Service's own name says already."""
    return CLUSTER_SET if caller.endswith(f".{CLUSTER_SET}") else caller
