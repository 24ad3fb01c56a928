"""Runs in a pod or beside the platform: asks for ever, and checks that an answer is the one to its question.

Argument: JSON, a list of lanes: `name`, `url` (what is asked is below it), `service`, and if not by default
`method`, `size` of the body, `fresh` (a connection for each request), `callers`, `pause` in seconds, `plain`
(no escapes in paths). Prints a line of JSON for each lane and window: when it began, the lane, seconds of
each request, how many failed, and how. Standard library only.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import zlib
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

PATIENCE = 20.0
WINDOW = 5.0
PLAIN = ("login", "cart", "a/b/c", "page")
WORDS = (*PLAIN, "x%2Fy", "%7Euser")
FAILURES_SHOWN = 5


class Lane:
    """Callers of one URL, and what they saw since the last window's end."""

    def __init__(self, name: str, url: str, service: str, **how: Any) -> None:
        self.name, self.service = name, service
        self._where = urlsplit(url)
        self._method, self._size = how.get("method", "GET"), int(how.get("size", 0))
        self._fresh, self._pause = bool(how.get("fresh")), float(how.get("pause", 0.2))
        self._words = PLAIN if how.get("plain") else WORDS
        self._lock = threading.Lock()
        self._seconds: list[float] = []
        self._failures: list[str] = []
        for _ in range(int(how.get("callers", 1))):
            threading.Thread(target=self._ask_for_ever, daemon=True).start()

    def _ask_for_ever(self) -> None:
        connection: HTTPConnection | None = None
        number = 0
        while True:
            number += 1
            started = time.monotonic()
            if connection is None:
                connection = HTTPConnection(self._where.hostname or "", self._where.port, timeout=PATIENCE)
            path = f"/{self._words[number % len(self._words)]}/{uuid4().hex}?n={number}"
            try:
                failure = self._ask(connection, path)
            except (OSError, HTTPException, ValueError) as error:
                failure = repr(error)
            if failure or self._fresh:
                connection.close()
                connection = None
            seconds = time.monotonic() - started
            with self._lock:
                self._seconds.append(round(seconds, 4))
                self._failures += [f"{time.strftime('%H:%M:%S')} {failure[:300]}"] if failure else []
            time.sleep(max(0.0, self._pause - seconds))

    def _ask(self, connection: HTTPConnection, path: str) -> str:
        """What is wrong with the answer; empty when it is right."""
        name, body = uuid4().hex, os.urandom(self._size) if self._size else None
        connection.request(self._method, self._where.path + path, body, {"X-Soak-Id": name})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            return f"{answer.status} {text[:200]!r}"
        said = json.loads(text)
        wanted = {
            "service": self.service, "method": self._method, "path": path, "id": name,
            "length": self._size, "check": zlib.crc32(body or b""),
        }  # fmt: skip
        wrong = {field: said.get(field) for field, value in wanted.items() if said.get(field) != value}
        return f"not the answer to {path} with {name}: {wrong}" if wrong else ""

    def taken(self) -> tuple[list[float], list[str]]:
        with self._lock:
            found = self._seconds, self._failures
            self._seconds, self._failures = [], []
        return found


def main(text: str) -> None:
    lanes = [Lane(**lane) for lane in json.loads(text)]
    while True:
        began = time.time()
        time.sleep(WINDOW)
        for lane in lanes:
            seconds, failures = lane.taken()
            line = [round(began, 1), lane.name, seconds, len(failures), failures[:FAILURES_SHOWN]]
            sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
