"""One ./stack at a time changes things: a lock file in the cache that tells who holds it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from airgap.report import Report


class HeldError(Exception):
    """Another ./stack holds the lock; the message says which."""


@contextmanager
def exclusive(
    cache: Path, purpose: str, report: Report, *, refused: Callable[[str], bool] = lambda _: False
) -> Iterator[None]:
    """Hold the lock; a second run waits and says for whom. The kernel frees it when a run dies.

    Raises HeldError in place of waiting for a holder that is `refused`.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "stack.lock").open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            if refused(holder):
                raise HeldError(holder) from None
            with report.step(f"Waiting for another ./stack ({holder})"):
                fcntl.flock(handle, fcntl.LOCK_EX)
        handle.seek(0)
        handle.truncate()
        handle.write(f"{purpose}, process {os.getpid()}")
        handle.flush()
        yield


def holder(cache: Path) -> str:
    """Who holds the lock now, in the words of its purpose; empty when nobody does."""
    try:
        with (cache / "stack.lock").open() as handle:
            said = handle.read().strip()
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return ""
    except BlockingIOError:
        return said or "unknown"
    return ""
