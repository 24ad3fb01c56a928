"""Access log: one JSON object per line on standard output, written by a thread so that a slow reader
stalls nobody."""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from typing import Any

MAX_QUEUED_LINES = 20_000
"""Lines kept for a reader that does not read; then lines are dropped and counted."""


class AccessLog:
    """Call `write` for each request and `flush` now and then; `close` writes what is left."""

    def __init__(self, descriptor: int = 1) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._lines: list[str] = []
        self._batches: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()
        self._queued = 0
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def write(self, record: dict[str, Any]) -> None:
        if self._queued + len(self._lines) >= MAX_QUEUED_LINES:
            self.dropped += 1
            return
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        self._lines.append(
            json.dumps({"time": f"{stamp}.{int(now % 1 * 1000):03d}Z", **record}, ensure_ascii=True)
        )
        if len(self._lines) >= 256:
            self.flush()

    def flush(self) -> None:
        if self._lines:
            self._queued += len(self._lines)
            self._batches.put(self._lines)
            self._lines = []

    def close(self) -> None:
        self.flush()
        self._batches.put(None)
        self._thread.join(timeout=2.0)

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            data = ("\n".join(batch) + "\n").encode()
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:
                # The reader is gone. Serving goes on; the lines count as dropped.
                self.dropped += len(batch)
            self._queued -= len(batch)
