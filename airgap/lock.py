"""One ./stack at a time changes things: lock files in the cache that tell who holds them.

One is the machine's: tools, images and the Docker daemon are shared by all environments. Each environment has
one besides, for what happens to it alone. Whoever takes both takes the environment's first.
"""

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
    cache: Path,
    purpose: str,
    report: Report,
    *,
    environment: str = "",
    refused: Callable[[str], bool] = lambda _: False,
) -> Iterator[None]:
    """Hold the machine's lock, or that of an environment; a second run waits and says for whom.

    The kernel frees it when a run dies. Raises HeldError in place of waiting for a holder that is `refused`.
    """
    file = _file(cache, environment)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+") as handle:
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


def holder(cache: Path, environment: str = "") -> str:
    """Who holds the lock now, in the words of its purpose; empty when nobody does."""
    try:
        with _file(cache, environment).open() as handle:
            said = handle.read().strip()
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return ""
    except BlockingIOError:
        return said or "unknown"
    return ""


def _file(cache: Path, environment: str) -> Path:
    return cache / "locks" / f"{environment}.lock" if environment else cache / "stack.lock"
