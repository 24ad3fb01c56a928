"""A drill's report for people and for CI: lines, tables, JUnit's XML. Pure."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence

from rich.markup import escape
from rich.table import Table

from cli.drill.calls import Call
from cli.drill.plan import Plan
from cli.drill.report import Bound, Numbers, Report, parts
from stacks.config.model import DrillSettings

POINTS = 8
"""Of the way back that are told."""
SHOWN_REASONS = 3


def before(plan: Plan, budget: DrillSettings, seconds: float, rate: float) -> Iterator[str]:
    """What is about to happen."""
    yield f"Taken away for {seconds:g} s: {plan.words} ({plan.meaning})."
    followed = "; ".join(f"{one.cluster} calls {', '.join(one.urls)}" for one in plan.calls)
    yield f"Calls that are followed, {rate:g} a second in all: {followed}."
    if plan.left_out:
        yield f"Not followed: {'; '.join(plan.left_out)}."
    yield (
        f"Budget: {budget.failed_requests} failed requests, detection within {budget.detection_seconds:g} s, "
        f"fail-back within {budget.fail_back_seconds:g} s; slow is longer than {budget.slow_seconds:g} s."
    )


def progress(last: Sequence[Call]) -> str:
    """How the last calls went, in a few words."""
    failed = sum(call.failed for call in last)
    return f"of the last {len(last)} calls {failed} failed; served by {words(parts(last))}"


def words(found: Mapping[str, float]) -> str:
    """Who served what part."""
    return ", ".join(f"{name} {percent:g} %" for name, percent in found.items()) or "nobody"


def table(report: Report) -> Table:
    """Calls of each client's cluster, and of all."""
    made = Table(title=f"Without {report.words}", title_justify="left")
    columns = ("calls of", "requests", "failed", "slow", "slowest", "before", "during", "after")
    for column in columns:
        made.add_column(column, overflow="fold")
    for name, found in report.clients.items():
        made.add_row(escape(name), *_cells(found))
    if len(report.clients) > 1:
        made.add_row("all", *_cells(report.all), style="bold")
    return made


def lines(report: Report) -> Iterator[str]:
    """What stands below the table."""
    for reason, number in list(report.all.reasons.items())[:SHOWN_REASONS]:
        yield f"failed {number} times: {escape(reason)}"
    if report.served_before:
        step = max(1, -(-len(report.gets_back) // POINTS))
        points = ", ".join(f"{second:g} s {part:g} %" for second, part in report.gets_back[::step])
        yield f"served {report.served_before:g} % before; after it was put back: {points or 'nothing yet'}"
    else:
        yield "It served none of these calls before: they show what its loss costs, and no fail-back."
    if report.noticed_after:
        yield (
            f"{report.noticed_after} of the failed and slow calls began after it was put back: "
            "they have no part in detection."
        )
    for bound in report.bounds:
        mark = "[green]✔[/green]" if bound.kept else "[red]✗[/red]"
        yield f"{mark} {escape(said(bound))}"


def said(bound: Bound) -> str:
    """A bound with what was seen."""
    unit = f" {bound.unit}" if bound.unit else ""
    seen = f"{bound.seen:g}{unit}" if bound.seen is not None else "not in the time of the drill"
    return f"{bound.name}: {seen}, at most {bound.most:g}{unit}"


def junit(report: Report, environment: str) -> str:
    """JUnit's XML: a test for each bound of the budget."""
    lasted = report.times.end - report.times.lost
    broken = sum(not bound.kept for bound in report.bounds)
    suite = ET.Element(
        "testsuite", name=f"drill of {environment}: without {report.words}", time=f"{lasted:.1f}",
        tests=str(len(report.bounds)), failures=str(broken), errors="0",
    )  # fmt: skip
    for bound in report.bounds:
        case = ET.SubElement(suite, "testcase", classname=f"drill.{environment}", name=bound.name)
        if not bound.kept:
            ET.SubElement(case, "failure", message=said(bound))
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _cells(found: Numbers) -> list[str]:
    return [
        str(found.requests), str(found.failed), str(found.slow), f"{found.slowest:g} s",
        words(found.before), words(found.during), words(found.after),
    ]  # fmt: skip
