"""What every long-running command has in common: its log, its signals, an orderly end."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

SWITCH_SECONDS = 0.0005
"""How long a thread that compiles a configuration may keep the loop from running. Python's own 5 ms would
be felt by every request meanwhile."""

log = logging.getLogger(__name__)


LOG_LEVELS = ("debug", "info", "warning", "error")


def run(command: Callable[[asyncio.Event], Coroutine[Any, Any, int]], log_level: str = "info") -> int:
    """Run a command on the gateway's event loop and return its exit code.

    The event it gets is set by SIGTERM and SIGINT. Its log goes to standard error from `log_level` on:
    standard output belongs to the access log.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    logging.basicConfig(
        level=log_level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # Imported late: commands that only read files run where it is not installed.
    import uvloop  # noqa: PLC0415

    return uvloop.run(_with_signals(command))


async def _with_signals(command: Callable[[asyncio.Event], Coroutine[Any, Any, int]]) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return await command(stop)


async def work_until(
    stop: asyncio.Event, work: Coroutine[Any, Any, None], ending: Callable[[], Awaitable[None]] | None = None
) -> int:
    """Do `work`, which has no end of its own, until `stop`; exit code 1 when it failed before.

    `ending` is what to do while the work still goes on, before it is cancelled.
    """
    working = asyncio.create_task(work, name="work")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if ending is not None:
        await ending()
    working.cancel()
    stopping.cancel()
    (result, *_) = await asyncio.gather(working, stopping, return_exceptions=True)
    if isinstance(result, Exception):
        log.error("ended by a defect", exc_info=result)
        return 1
    return 0
