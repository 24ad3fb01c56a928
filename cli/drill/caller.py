"""Runs in a client pod: asks URLs by turns at a steady rate and prints what became of each request.

Standard library only. One JSON list a line: the request's id, the service, when it began (Unix time), how
long it took, the HTTP status (0: no answer), and what went wrong. Each request is on a connection of its own,
as the Service leads just then, and begins on time, however long others hang.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from itertools import count, cycle
from urllib.parse import urlsplit

PATIENCE = 10.0
"""Seconds after which a request without an answer has failed."""
MOST_AT_ONCE = 256


def ask(name: str, service: str, url: str) -> None:
    """One safe request."""
    where = urlsplit(url)
    began, started = time.time(), time.monotonic()
    connection = HTTPConnection(where.hostname or "", where.port, timeout=PATIENCE)
    status, said = 0, ""
    try:
        connection.request("GET", where.path, headers={"X-Request-Id": name, "User-Agent": "stack-drill"})
        answer = connection.getresponse()
        answer.read()
        status = answer.status
    except (OSError, HTTPException) as error:
        said = repr(error)[:200]
    finally:
        connection.close()
    line = json.dumps([name, service, began, time.monotonic() - started, status, said])
    sys.stdout.write(line + "\n")  # whole, beside the other threads
    sys.stdout.flush()


def main(text: str) -> None:
    """`text` is JSON: urls by service, calls a second, the beginning of ids, and seconds until it ends."""
    wanted = json.loads(text)
    started, turns = time.monotonic(), cycle(wanted["urls"].items())
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        for number in count():
            due = started + number / wanted["rate"]
            if due - started > wanted["seconds"]:
                return
            time.sleep(max(0.0, due - time.monotonic()))
            pool.submit(ask, f"{wanted['prefix']}{number}", *next(turns))


if __name__ == "__main__":
    main(sys.argv[1])
