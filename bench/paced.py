"""A client that calls at a fixed pace, as programs with trace context do: no two requests are alike.

python -m bench.paced PORT TARGET --host HOST --rate 200 --connections 4 --seconds 5

Prints the latency of each call in seconds, as JSON. It is a process of its own, so that nothing else takes
turns with it in one interpreter.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

PATIENCE_SECONDS = 10.0
OK = b"HTTP/1.1 200 "
LAST_CHUNK = b"0\r\n\r\n"


class AnswerError(Exception):
    """An answer that is no measurement; the message has its first bytes."""


def requests(count: int, host: str, target: str) -> list[bytes]:
    """GET requests, each with a trace context (W3C Trace Context, 3.2) and an identifier of its own."""
    return [
        (
            f"GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bench\r\nAccept: */*\r\n"
            f"Traceparent: 00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01\r\n"
            f"X-Request-Id: {os.urandom(16).hex()}\r\n\r\n"
        ).encode()
        for _ in range(count)
    ]


def is_whole(answer: bytes) -> bool:
    """Whether an answer has come to its end, by its length or its last chunk (RFC 9112, 6.3)."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    for field in head.lower().split(b"\r\n")[1:]:
        name, _, value = field.partition(b":")
        if name == b"content-length":
            return len(body) >= int(value)
        if name == b"transfer-encoding":
            return body.endswith(LAST_CHUNK)
    raise AnswerError(f"an answer without a length: {answer[:200]!r}")


def counted_from(due: float, free: float, sent: float) -> float:
    """When the clock of a call began.

    A call that was due while the one before was under way has waited for it (`free`: when that one ended).
    That belongs to its latency: else one slow answer would hide those it holds up. Otherwise it began when it
    was sent, for a timer that fires late is the client's own.
    """
    return due if free > due else sent


def call(connection: socket.socket, request: bytes) -> None:
    """One request and its whole answer. AnswerError when it is another one than 200."""
    connection.sendall(request)
    answer = b""
    while not answer or not is_whole(answer):
        received = connection.recv(65536)
        if not received:
            raise AnswerError(f"the connection was closed after {answer[:200]!r}")
        answer += received
    if not answer.startswith(OK):
        raise AnswerError(f"not a 200: {answer[:400]!r}")


def paced(calls: Sequence[Callable[[], None]], rate: float) -> list[float]:
    """Latencies in seconds of calls that are due `rate` times a second, one after another."""
    latencies = []
    start = free = time.perf_counter()
    for number, one in enumerate(calls):
        due = start + number / rate
        if free < due:
            time.sleep(max(due - time.perf_counter(), 0))
        sent = time.perf_counter()
        one()
        done = time.perf_counter()
        latencies.append(done - counted_from(due, free, sent))
        free = done
    return latencies


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.paced")
    parser.add_argument("port", type=int)
    parser.add_argument("target")
    parser.add_argument("--host", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    connections = [
        socket.create_connection(("127.0.0.1", given.port), PATIENCE_SECONDS)
        for _ in range(given.connections)
    ]
    for connection in connections:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    first = given.connections
    made = requests(first + round(given.rate * given.seconds), given.host, given.target)
    calls = [partial(call, connections[number % first], request) for number, request in enumerate(made)]
    try:
        for one in calls[:first]:  # not counted: what is on the way opens its connections
            one()
        gc.disable()
        json.dump(paced(calls[first:], given.rate), sys.stdout)
    except (AnswerError, OSError) as error:
        sys.exit(f"port {given.port}, {given.target}: {error}")


if __name__ == "__main__":
    main()
