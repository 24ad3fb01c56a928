"""`./stack drill`: take a part of a running environment away, follow calls, put it back, report."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from airgap import daemon
from airgap.report import Report as Progress
from airgap.report import output_console
from cli import ending, preflight, toolchain
from cli.drill import act, show, wanted
from cli.drill.journal import Journal
from cli.drill.losses import Client
from cli.drill.plan import plan
from cli.drill.report import Report
from cli.drill.running import BEFORE_SECONDS, FIRST_SECONDS, Drill
from cli.drill.tools import Tools
from cli.drill.traffic import Traffic
from cli.engine import Engine
from cli.errors import UserError
from cli.observe.environment import running
from cli.observe.present import engine_of, refuse_absent
from cli.paths import Paths
from stacks.config.model import Settings


def run(arguments: argparse.Namespace, paths: Paths, progress: Progress) -> int:
    """The drill. 0 when the budget holds, 1 when it does not. What an earlier one left is put back by now."""
    if arguments.undo:
        print("Nothing is taken away by a drill now.")
        return 0
    asked = _wanted(arguments)
    chosen = preflight.checked_settings(paths, arguments.environment)
    if chosen.mesh != "bundled":
        raise UserError("a drill is for the bundled mesh alone, not for flomesh.")
    engine = engine_of(paths, arguments.environment, progress)
    refuse_absent(engine)
    engine.refuse_working()
    journal = Journal(engine.folder)
    found: Report | None = None
    with Tools.of(engine, chosen) as tools, ending.terminated_as_interrupted():
        try:
            found = asyncio.run(_drill(engine, chosen, asked, tools, progress))
        finally:
            try:
                _put_back(tools, journal, progress, wait=False)
            finally:  # what was found is told, also when something could not be put back
                if found is not None:
                    _tell(found, arguments, progress)
    return 0 if found.passed else 1


def put_back_left(environment: str, paths: Paths, progress: Progress) -> None:
    """Put back what a drill has left that was killed. Raises UserError when it cannot be."""
    journal = Journal(paths.environment(environment))
    if not journal.exists:
        return
    progress.note(f"Repairing: {journal.said()}.")
    chosen = preflight.checked_settings(paths, environment)
    made_here = {cluster.name for cluster in chosen.clusters if cluster.source == "k3d"}
    ours = [loss for loss in journal.losses() if loss.cluster in made_here]
    docker_host = daemon.ensure_daemon(paths.cache, progress) if ours else ""
    engine = Engine(toolchain.existing(paths, docker_host=docker_host), environment, progress)
    with Tools.of(engine, chosen) as tools:
        there = act.containers(tools, "--all") if ours else []
        for loss in ours:
            if not any(name.startswith(f"k3d-{loss.cluster}-") for name in there):
                progress.note(f"Repairing: {loss.cluster} is gone, and what was taken from it with it.")
                journal.remove(loss)
        _put_back(tools, journal, progress, wait=True)


def _wanted(arguments: argparse.Namespace) -> wanted.Wanted:
    if not arguments.lose:
        raise UserError("--lose is missing: name a cluster, or one of gateway, app, link.", code=2)
    try:
        return wanted.Wanted(
            lose=arguments.lose,
            seconds=wanted.seconds(arguments.lasting),
            rate=wanted.rate(arguments.rate),
            path=wanted.path(arguments.path),
            services=tuple(arguments.service),
            sources=tuple(arguments.source),
        )
    except ValueError as error:
        raise UserError(f"{error}.", code=2) from error


async def _drill(
    engine: Engine, chosen: Settings, asked: wanted.Wanted, tools: Tools, progress: Progress
) -> Report:
    journal, budget = Journal(engine.folder), chosen.drill
    async with running(engine) as environment:
        platform = await environment.look()
        planned = plan(platform, asked)
        for line in show.before(planned, budget, asked.seconds, asked.rate):
            progress.note(line)
        longest = (
            BEFORE_SECONDS + FIRST_SECONDS + act.RESTART_SECONDS + asked.seconds + budget.fail_back_seconds
        )
        followed = {one.cluster: one for one in planned.calls}
        traffic = Traffic(platform, followed, tools, environment.apis, rate=asked.rate, seconds=longest)
        journal.add(planned.words, [Client(cluster=name) for name in followed])
        async with traffic:
            drill = Drill(
                plan=planned, traffic=traffic, tools=tools, journal=journal, seconds=asked.seconds,
                budget=budget, progress=progress,
            )  # fmt: skip
            return await drill.run()


def _put_back(tools: Tools, journal: Journal, progress: Progress, *, wait: bool) -> None:
    """All that the journal has. Ctrl-C has to wait: half of it is what nobody wants."""
    if journal.exists:
        with _unbroken(progress), progress.step("Putting everything back"):
            act.put_all_back(tools, journal, wait=wait)


@contextmanager
def _unbroken(progress: Progress) -> Iterator[None]:
    """Signals that would end us are answered by a word."""

    def wait(_number: int, _frame: FrameType | None) -> None:
        progress.note("Still putting back what was taken away; it ends by itself.")

    with ending.handled((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), wait):
        yield


def _tell(found: Report, arguments: argparse.Namespace, progress: Progress) -> None:
    if arguments.junit:
        Path(arguments.junit).write_text(show.junit(found, arguments.environment))
    if arguments.json:
        print(json.dumps(found.as_json(arguments.environment), indent=2, ensure_ascii=False))
    else:
        console = output_console()
        console.print(show.table(found))
        for line in show.lines(found):
            console.print(line, highlight=False, soft_wrap=True)
    progress.note("The budget holds." if found.passed else "The budget does not hold.")
