"""Runs in a pod: asks one URL over and over and prints what became of each request. Standard library only.

One JSON list a line: when it began (Unix time), how long it took, the HTTP status (0: none), and the body, or
what went wrong.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

PATIENCE = 20.0
"""Seconds after which a request without an answer has failed."""


def ask_for_ever(url: str, pause: float, fresh: bool) -> None:
    """One request after the other, `pause` seconds apart.

    On one connection, kept while it lasts; or `fresh`, each on a new one, as the Service has it just then.
    """
    where = urlsplit(url)
    connection: HTTPConnection | None = None
    while True:
        began, started = time.time(), time.monotonic()
        try:
            if connection is None:
                connection = HTTPConnection(where.hostname or "", where.port, timeout=PATIENCE)
            connection.request("GET", where.path)
            answer = connection.getresponse()
            status, said = answer.status, answer.read().decode(errors="replace")
            if answer.will_close or fresh:
                connection.close()
                connection = None
        except (OSError, HTTPException) as error:
            status, said = 0, repr(error)
            if connection is not None:
                connection.close()
            connection = None
        seconds = time.monotonic() - started
        sys.stdout.write(json.dumps([began, seconds, status, said]) + "\n")
        sys.stdout.flush()
        time.sleep(max(0.0, pause - seconds))


def main(url: str, callers: str, pause: str, connections: str) -> None:
    for _ in range(int(callers)):
        arguments = (url, float(pause), connections == "fresh")
        threading.Thread(target=ask_for_ever, args=arguments, daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
