"""`./stack dashboard`: the live page, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import signal
from contextlib import suppress

from airgap.report import Report
from cli import settings
from cli.dashboard.collect import Collector
from cli.dashboard.server import Server
from cli.observe.environment import engine_of, running
from cli.paths import Paths


def run(arguments: argparse.Namespace, paths: Paths, progress: Report) -> int:
    """Serve the page. 0 when it was ended by Ctrl-C."""
    settings.source_file(paths, arguments.environment)
    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(_serve(arguments, paths, progress))
    progress.note("The page is closed.")
    return 0


async def _serve(arguments: argparse.Namespace, paths: Paths, progress: Report) -> None:
    async with running(engine_of(paths, arguments.environment, progress)) as environment:
        # In order, as asyncio does it for Ctrl-C: an exception in the midst of a reading would leave proxies.
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 - this runs in one
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
        collector = Collector(environment)
        async with Server(collector, arguments.port) as server:
            # On standard output, which others may read: the address is all there is to know.
            print(server.url, flush=True)
            progress.note(
                f"{arguments.environment} is shown there until Ctrl-C. Nothing there changes anything."
            )
            await collector.run()
