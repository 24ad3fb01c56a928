"""Looking at an environment and printing what is wanted of it, once or over and over."""

from __future__ import annotations

import argparse
import asyncio
import json
import time

from rich.console import Console
from rich.live import Live

from airgap.report import output_console
from cli.engine import Engine
from cli.errors import UserError
from cli.observe.environment import Running, running
from cli.status.as_json import as_json
from cli.status.chosen import Chosen, problems
from cli.status.tables import render

REFRESH_SECONDS = 2.0


def show(engine: Engine, arguments: argparse.Namespace) -> int:
    """Look, and print what is wanted. Returns the exit code, raises UserError."""
    return asyncio.run(_show(engine, arguments))


def wanted(arguments: argparse.Namespace) -> Chosen:
    """The rows that the command line asks for."""
    return Chosen(
        clusters=frozenset(arguments.cluster),
        namespaces=frozenset(arguments.namespace),
        services=tuple(arguments.service),
        kinds=frozenset(arguments.kind),
        wrong=arguments.wrong,
    )


async def _show(engine: Engine, arguments: argparse.Namespace) -> int:
    console, chosen = output_console(), wanted(arguments)
    async with running(engine) as environment:
        names = [cluster.name for cluster in environment.settings.clusters]
        if unknown := sorted(chosen.clusters - set(names)):
            raise UserError(f"--cluster {unknown[0]}: there is none. Known: {', '.join(names)}.", code=2)
        if arguments.watch:
            await _watch(environment, chosen, console)
        platform = await environment.look()
    if arguments.json:
        print(json.dumps(as_json(platform, chosen), indent=2))
    else:
        console.print(render(platform, chosen=chosen))
    return 1 if problems(platform, chosen) else 0


async def _watch(environment: Running, chosen: Chosen, console: Console) -> None:
    """One frame after the other, for ever."""
    platform = await environment.look()
    with Live(render(platform, chosen=chosen), console=console, auto_refresh=False) as live:
        while True:
            shown = time.monotonic()
            before, platform = platform, await environment.look(platform)
            live.update(render(platform, before, chosen), refresh=True)
            await asyncio.sleep(max(0.0, REFRESH_SECONDS - (time.monotonic() - shown)))
