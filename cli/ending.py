"""Signals that end a command: it ends in order, wherever it is and however it was started."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM, and a terminal that goes, end the block as Ctrl-C does, so that all it started is ended."""
    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # under nohup the end of the terminal means nothing
        numbers.append(signal.SIGHUP)
    ended: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        handler = signal.getsignal(signal.SIGINT)
        if callable(handler):  # an event loop has its own, which ends tasks in order
            handler(signal.SIGINT, frame)
            return
        # It is ignored, as in the background of a shell, and a loop has none. What is raised in here may come
        # up wherever the program is just now, in a destructor too, where it would be lost.
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise KeyboardInterrupt from None
        ended.append(number)
        loop.call_soon_threadsafe(_cancel_all, loop)

    with handled(numbers, interrupt):
        try:
            yield
        except asyncio.CancelledError:
            if ended:
                raise KeyboardInterrupt from None
            raise


@contextmanager
def handled(
    numbers: Sequence[signal.Signals], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    """Signals go to this handler while the block lasts, and to those that they had afterwards."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()
