"""`./stack dashboard`: the live page, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import suppress

from airgap.report import Report
from cli import ending, settings
from cli.dashboard.collect import Collector
from cli.dashboard.server import Server
from cli.observe.environment import running
from cli.observe.present import engine_of
from cli.paths import Paths


def run(arguments: argparse.Namespace, paths: Paths, progress: Report) -> int:
    """Serve the page. 0 when it was ended by Ctrl-C."""
    settings.source_file(paths, arguments.environment)
    with ending.terminated_as_interrupted(), suppress(KeyboardInterrupt):
        asyncio.run(_serve(arguments, paths, progress))
    progress.note("The page is closed.")
    return 0


async def _serve(arguments: argparse.Namespace, paths: Paths, progress: Report) -> None:
    async with running(engine_of(paths, arguments.environment, progress)) as environment:
        collector = Collector(environment)
        async with Server(collector, arguments.port) as server:
            # On standard output, which others may read: the address is all there is to know.
            print(server.url, flush=True)
            progress.note(
                f"{arguments.environment} is shown there until Ctrl-C. Nothing there changes anything."
            )
            await collector.run()
