"""Requests of a client outside the clusters, so many a second, and those that failed."""

from __future__ import annotations

import threading
import time
from http.client import HTTPConnection, HTTPException
from typing import Self
from urllib.parse import urlsplit

CALLERS = 10
PAUSE = 0.1
"""Seconds from one request of a caller to its next: 100 a second in all."""
PATIENCE = 20.0


class Load:
    """Asks as long as the block lasts. Every other caller keeps its connection, the rest open new ones."""

    def __init__(self, url: str, callers: int = CALLERS) -> None:
        self._where = urlsplit(url)
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(bool(number % 2),)) for number in range(callers)
        ]
        self.answered = 0
        self.failed: list[str] = []

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self.seconds = time.monotonic() - self._began

    def _ask(self, kept: bool) -> None:
        connection: HTTPConnection | None = None
        while not self._ended.is_set():
            began = time.monotonic()
            try:
                if connection is None:
                    connection = HTTPConnection(
                        self._where.hostname or "", self._where.port, timeout=PATIENCE
                    )
                connection.request("GET", self._where.path)
                answer = connection.getresponse()
                body = answer.read()
                if answer.status == 200:
                    self.answered += 1
                else:
                    self.failed.append(f"{answer.status} {body[:100]!r}")
                close = answer.will_close or not kept
            except (OSError, HTTPException) as error:
                self.failed.append(repr(error))
                close = True
            if close and connection is not None:
                connection.close()
                connection = None
            self._ended.wait(max(0.0, PAUSE - (time.monotonic() - began)))
        if connection is not None:
            connection.close()
