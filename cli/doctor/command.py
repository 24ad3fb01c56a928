"""`./stack doctor`: the machine, and when the environment is up also its clusters and every path."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from rich.markup import escape

from airgap.report import Report, output_console
from cli import settings
from cli.doctor.app_ids import app_id_checks
from cli.doctor.check import Check, as_json, failed
from cli.doctor.cluster_set import cluster_set_checks
from cli.doctor.machine import machine_checks
from cli.doctor.paths import path_checks
from cli.doctor.platform import platform_checks, unasked
from cli.doctor.reachability import ask_all
from cli.doctor.survey import survey
from cli.engine import Engine
from cli.errors import UserError
from cli.observe.environment import Running, running
from cli.observe.present import NotUpError, engine_of
from cli.observe.view import Platform
from cli.paths import Paths

MARKS = {"ok": "[green]✔[/green]", "warn": "[yellow]![/yellow]", "fail": "[red]✗[/red]"}
TOOLS = re.compile(r"\b(kubectl|docker|k3d) ")
TITLES = {"machine": "Machine", "platform": "Clusters", "path": "Paths"}


def run(arguments: argparse.Namespace, paths: Paths, progress: Report) -> int:
    """Print every check. 1 when any fails."""
    with progress.step(f"Looking at the machine and at {arguments.environment}"):
        checks = examine(paths, arguments.environment, progress)
    if arguments.json:
        print(json.dumps(as_json(checks), indent=2, ensure_ascii=False))
    else:
        console = output_console()
        for line in lines(checks, arguments.environment):
            console.print(line, highlight=False, soft_wrap=True)
    return 1 if failed(checks) else 0


def examine(paths: Paths, environment: str, progress: Report) -> list[Check]:
    """All checks. Raises UserError for an unknown environment."""
    settings.source_file(paths, environment)
    with ThreadPoolExecutor(max_workers=1) as pool:
        machine = pool.submit(survey, paths, environment)  # registries take their time
        try:
            checks = asyncio.run(_after(engine_of(paths, environment, progress)))
        except NotUpError:
            checks = [_not_up(environment)]
        except UserError as error:
            seen = " ".join(str(error).split())
            checks = [Check(group="platform", name=environment, result="fail", seen=seen)]
        found = machine.result()
    return machine_checks(found) + (checks if found.settings is not None else [])


def _not_up(environment: str) -> Check:
    seen = f"not up: clusters and paths are looked at after ./stack up {environment}"
    return Check(group="platform", name=environment, result="ok", seen=seen)


async def _after(engine: Engine) -> list[Check]:
    async with running(engine) as environment:
        return await after(environment)


async def after(environment: Running, platform: Platform | None = None) -> list[Check]:
    """The clusters and every path of a running environment, as it is now or was in an earlier look."""
    platform = platform or await environment.look()
    reached = await ask_all(platform, environment.apis)
    names = cluster_set_checks(platform, reached)
    clusters = [
        *platform_checks(platform), *unasked(platform, reached), *app_id_checks(platform), *names,
    ]  # fmt: skip
    return [*clusters, *path_checks(platform, reached)]


def lines(checks: list[Check], environment: str) -> Iterator[str]:
    """For people: every check on a line, what to do below it, and a summary."""
    group = ""
    for check in checks:
        if check.group != group:
            group = check.group
            yield f"[bold]{TITLES[group]}[/bold]"
        at = f"broken at {check.broken}: " if check.broken and check.result == "fail" else ""
        yield f"  {MARKS[check.result]} {escape(check.name)}: {at}{escape(check.seen)}"
        if check.hint and check.result != "ok":
            yield f"      → {escape(check.hint)}"
    if any(TOOLS.search(check.hint) for check in checks if check.result != "ok"):
        yield f'Commands above find their tools after: eval "$(./stack env {environment})"'
    bad, warned = len(failed(checks)), sum(check.result == "warn" for check in checks)
    if bad:
        yield f"[red]{bad} of {len(checks)} checks fail[/red], {warned} warn."
    else:
        yield f"All {len(checks)} checks pass" + (f", {warned} with a warning." if warned else ".")
