"""One ./stack at a time changes things: a lock file in the cache that tells who holds it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airgap.report import Report


@contextmanager
def exclusive(cache: Path, purpose: str, report: Report) -> Iterator[None]:
    """Hold the lock; a second run waits and says for whom. The kernel frees it when a run dies."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "stack.lock").open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            with report.step(f"Waiting for another ./stack ({handle.read().strip() or 'unknown'})"):
                fcntl.flock(handle, fcntl.LOCK_EX)
        handle.seek(0)
        handle.truncate()
        handle.write(f"{purpose}, process {os.getpid()}")
        handle.flush()
        yield
