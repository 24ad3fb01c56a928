"""A client with many connections, which asks at a fixed pace whatever becomes of the answers.

python -m bench.steady PORT SECONDS --host HOST --rate 500 --connections 500 --seconds 60

The application, `bench.late`, takes SECONDS. Prints when each call began, on the monotonic clock, and
how long it took, as JSON. The first calls, one on each connection, are not counted: they wait for the last of
them, by which what is on the way opens as many connections.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from collections import deque
from typing import cast

import uvloop

from bench.paced import OK, AnswerError, is_whole, requests

PATIENCE_SECONDS = 20.0
OPENED_A_SECOND = 100
"""Connections at the beginning: a handshake is work."""


class Connection(asyncio.Protocol):
    """One call after another; one that is due while another is under way waits, and counts from then."""

    transport: asyncio.Transport

    def __init__(self, ended: asyncio.Future[None]) -> None:
        """`ended`: gets the error when something is no measurement."""
        self.calls: list[tuple[float, float]] = []
        self._ended = ended
        self._began = 0.0
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes) -> None:
        now = time.monotonic()
        if self._began:
            self._waiting.append((now, request))
        else:
            self._began = now
            self.transport.write(request)

    @property
    def idle(self) -> bool:
        return not self._began

    def data_received(self, data: bytes) -> None:
        self._held += data
        try:
            if not is_whole(self._held):
                return
        except AnswerError as error:
            self._fail(error)
            return
        if not self._held.startswith(OK):
            self._fail(AnswerError(f"not a 200: {self._held[:400]!r}"))
            return
        self.calls.append((self._began, time.monotonic() - self._began))
        self._held, self._began = b"", 0.0
        if self._waiting:
            self._began, request = self._waiting.popleft()
            self.transport.write(request)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error or ConnectionError("the connection was closed"))

    def _fail(self, error: Exception) -> None:
        if not self._ended.done():
            self._ended.set_exception(error)


async def measure(given: argparse.Namespace) -> list[tuple[float, float]]:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    connections = [
        (await loop.create_connection(lambda: Connection(ended), "127.0.0.1", given.port))[1]
        for _ in range(given.connections)
    ]
    first = given.connections
    opening = first / OPENED_A_SECOND
    for number, connection in enumerate(connections):
        seconds = opening - number / OPENED_A_SECOND + 1
        connection.ask(*requests(1, given.host, f"/{seconds:.2f}"))
        await asyncio.sleep(1 / OPENED_A_SECOND)
    await _all_idle(connections, ended)
    for connection in connections:
        connection.calls.clear()
    made = requests(round(given.rate * given.seconds), given.host, f"/{given.takes:g}")
    gc.disable()
    started = loop.time()
    for number, request in enumerate(made):
        if (wait := started + number / given.rate - loop.time()) > 0:
            await asyncio.sleep(wait)
        connections[number % first].ask(request)
        if ended.done():
            break
    await _all_idle(connections, ended)
    return sorted(call for connection in connections for call in connection.calls)


async def _all_idle(connections: list[Connection], ended: asyncio.Future[None]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not all(connection.idle for connection in connections):
            if ended.done():
                ended.result()
            await asyncio.sleep(0.01)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.steady")
    parser.add_argument("port", type=int)
    parser.add_argument("takes", type=float)
    parser.add_argument("--host", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    try:
        json.dump(uvloop.run(measure(given)), sys.stdout)
    except (AnswerError, OSError, TimeoutError) as error:
        sys.exit(f"port {given.port}: {error!r}")


if __name__ == "__main__":
    main()
