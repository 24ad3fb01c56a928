"""Memory per connection: idle, and with a request that waits for its answer."""

from __future__ import annotations

import socket
import time
from typing import Self

from bench.figures import Result, Row
from bench.programs import BenchError, Running
from bench.setting import Bench, free_port
from bench.starters import about_peers, peers, start_gateway

CONNECTIONS = 500
"""No more than the gateway opens to one application; beyond, requests wait in its queue."""

SETTLE_SECONDS = 0.5
PATIENCE_SECONDS = 30.0
REQUEST = b"GET /service-0 HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\n\r\n"


def measure(bench: Bench) -> Result:
    """Bytes per connection of each program, several times over."""
    rounds = 2 if bench.quick else 3
    idle: dict[str, list[float]] = {}
    busy: dict[str, list[float]] = {}
    for number in range(rounds):
        for name, starter in {"gateway": start_gateway, **peers(bench)}.items():
            bench.step.update(f"{name}, round {number + 1} of {rounds}")
            with _Silent() as application, starter(bench, application.port) as program:
                without, with_request = _grow(program)
                idle.setdefault(name, []).append(without)
                busy.setdefault(name, []).append(with_request)
    rows = [
        Row(what=what, figure="memory", more_is_better=False, samples=samples, unit="bytes")
        for what, samples in (("idle connection", idle), ("connection with a request under way", busy))
    ]
    note = f"{CONNECTIONS} connections; memory of the process, without the kernel's buffers."
    return Result(rows, [note, *about_peers(bench)])


def _grow(program: Running) -> tuple[float, float]:
    """Bytes per connection: opened and silent, then with a request that nobody answers."""
    before, files = program.memory_bytes, program.open_files
    clients = [socket.create_connection(("127.0.0.1", program.port)) for _ in range(CONNECTIONS)]
    try:
        _await_files(program, files + CONNECTIONS)
        idle = program.memory_bytes
        for client in clients:
            client.sendall(REQUEST)
        _await_files(program, files + 2 * CONNECTIONS)
        busy = program.memory_bytes
    finally:
        for client in clients:
            client.close()
    return max(idle - before, 1) / CONNECTIONS, max(busy - before, 1) / CONNECTIONS


def _await_files(program: Running, wanted: int) -> None:
    """Until the program has accepted, or opened, that many connections, and a little longer."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while program.open_files < wanted:
        if time.monotonic() > deadline:
            raise BenchError(f"{program.name} has {program.open_files} files open, not {wanted}")
        time.sleep(0.05)
    time.sleep(SETTLE_SECONDS)


class _Silent:
    """An application that accepts and never answers. The kernel does: nobody has to read."""

    def __enter__(self) -> Self:
        self.port = free_port()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=2 * CONNECTIONS)
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
