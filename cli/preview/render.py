"""The table of who would serve whom. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.markup import escape
from rich.table import Table

from stacks.outlook.assumed import Assumed
from stacks.outlook.outlook import Finding, Outlook, Row
from stacks.outlook.words import assumptions, merged, words


def table(environment: str, outlook: Outlook, before: Outlook | None, names: Mapping[str, str]) -> Table:
    """Who serves whom. `before`: as the last `up` left it, None when there was none; `names` by key."""
    made = Table(title=f"Who would serve whom in {environment}", title_justify="left")
    columns = ["callers", "service", "policy", "served by", "with a cluster lost"]
    for column in [*columns, *(["now"] if before is not None else [])]:
        made.add_column(column, overflow="fold")
    lost = {key: {row.id: row for row in rows} for key, rows in outlook.lost.items()}
    then = {row.id: row for row in before.rows} if before is not None else {}
    for callers, row in merged(outlook):
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
    yield f"Assumed: {escape(assumptions(assumed))}."
    for problem in outlook.problems:
        yield f"[yellow]![/yellow] {escape(problem)}"
    for one in found:
        mark = "[red]✗[/red]" if one.level == "error" else "[yellow]![/yellow]"
        yield f"{mark} {escape(one.text)}"


def _now(row: Row, then: Mapping[tuple[str, str, str], Row], names: Mapping[str, str]) -> str:
    found = then.get(row.id)
    if found is None:
        return "not there"
    return "the same" if (found.served, found.matches) == (row.served, row.matches) else words(found, names)
