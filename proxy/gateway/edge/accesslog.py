"""Access log: one JSON object per line on standard output, written by a thread so that a slow reader
stalls nobody."""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from collections.abc import Callable
from json.encoder import encode_basestring_ascii
from typing import Any, Final

from gateway.core.balance import Pick, RouteState
from gateway.core.pieces import join
from gateway.core.request import RequestHead

MAX_QUEUED_BYTES = 8 * 1024 * 1024
"""Kept for a reader that does not read, some 20,000 lines; then lines are dropped and counted."""

BATCH_LINES: Final = 128
"""Lines handed to the thread at once, some 50 KiB. Waking it costs as much as twenty lines; putting more
together at once is felt by the requests that wait meanwhile."""

THREE_DIGITS: Final = tuple(f"{number:03d}" for number in range(1000))

KEPT_HOST: Final = 261
"""A Host up to this length, that of the longest name with a port, is kept as text with the route that was
called by it, for the next call mostly has the same. Longer ones would let anybody fill memory."""

quoted: Callable[[str], str] = encode_basestring_ascii
"""A string as JSON, in ASCII."""


def _route_fields(host: bytes, state: RouteState | None) -> str:
    """The fields for a route and the Host it was called by, kept with it."""
    if state is not None and state.logged_host == host and state.logged:
        return state.logged
    service, policy = (quoted(state.route.service), quoted(state.route.policy)) if state else ("null", "null")
    fields = f'"host":{quoted(host.decode("latin-1"))},"service":{service},"policy":{policy}'
    if state is not None and len(host) <= KEPT_HOST:
        state.logged, state.logged_host = fields, host
    return fields


def _pick_fields(pick: Pick) -> tuple[str, str]:
    """The fields for a cluster and an endpoint, each kept with it."""
    serving, health = pick.state, pick.health
    if not serving.logged:
        serving.logged = f'"cluster":{quoted(serving.cluster.key)}'
    if not health.logged:
        health.logged = f'"endpoint":{quoted(health.name)}'
    return serving.logged, health.logged


class AccessLog:
    """Call `write` for each request and `flush` now and then; `close` writes what is left.

    `descriptor`: the file that is written to. `max_queued`: bytes kept for a reader that does not read.
    `query`: targets are logged with their queries.
    """

    def __init__(
        self, descriptor: int = 1, max_queued: int = MAX_QUEUED_BYTES, *, query: bool = False
    ) -> None:
        self.query = query
        self.dropped = 0
        self._descriptor = descriptor
        self._max_queued = max_queued
        self._lines: list[bytes] = []
        self._batches: queue.SimpleQueue[tuple[bytes, int] | None] = queue.SimpleQueue()
        self._queued = 0
        """Bytes handed to the thread and not yet written."""
        self._second = 0
        self._stamp = ""
        """The time of that second, up to its point."""
        self._milli = 0
        self._start = ""
        """How a line of that millisecond starts: on a busy gateway dozens do."""
        self._writer = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._writer.start()

    def write(self, fields: str) -> None:
        """One line; `fields` is the inside of its JSON object."""
        self._add(join(self._stamped(), fields, "}\n"))

    def write_exchange(  # noqa: PLR0917  one call for each request
        self, client: str, head: RequestHead, state: RouteState | None, pick: Pick | None, reason: str,
        attempts: int, status: int, seconds: float, bytes_in: int, bytes_out: int, request_id: bytes,
    ) -> None:  # fmt: skip
        """The line for an exchange. `client`: its fields. `pick`: None when no endpoint was chosen.

        What is said again and again is kept with what it is said of; the rest is never made a text of its
        own.
        """
        target = head.target
        if not self.query and b"?" in target:
            target = target.partition(b"?")[0]
        cluster, endpoint = ('"cluster":null', '"endpoint":null') if pick is None else _pick_fields(pick)
        micros = int(seconds * 1e6)
        self._add(join(
            self._stamped(), client, ',"method":"', head.method, '","target":"', target, '",',
            _route_fields(head.host, state), ",", cluster, ",", endpoint, ',"reason":"', reason,
            '","attempts":', attempts, ',"status":', status,
            ',"seconds":', micros // 1000000, ".", THREE_DIGITS[micros // 1000 % 1000],
            THREE_DIGITS[micros % 1000], ',"bytes_in":', bytes_in, ',"bytes_out":', bytes_out,
            ',"request_id":"', request_id, '"}\n',
        ))  # fmt: skip

    def _add(self, line: bytes) -> None:
        self._lines.append(line)
        if len(self._lines) >= BATCH_LINES:
            self.flush()

    def _stamped(self) -> str:
        """How a line of this moment starts."""
        milli = int(time.time() * 1000)
        if milli != self._milli:
            self._turn(milli)
        return self._start

    def _turn(self, milli: int) -> None:
        """Begin another millisecond since 1970."""
        second = milli // 1000
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        self._milli = milli
        self._start = f'{{"time":"{self._stamp}{THREE_DIGITS[milli % 1000]}Z",'

    def write_record(self, record: dict[str, Any]) -> None:
        """One line of what happens seldom."""
        self.write(json.dumps(record, ensure_ascii=True, separators=(",", ":"))[1:-1])

    def flush(self) -> None:
        lines, self._lines = self._lines, []
        if not lines:
            return
        if self._queued > self._max_queued:
            self.dropped += len(lines)
            return
        batch = b"".join(lines)
        self._queued += len(batch)
        self._batches.put((batch, len(lines)))

    def close(self) -> None:
        self.flush()
        self._batches.put(None)
        self._writer.join(timeout=2.0)

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            data, lines = batch
            size = len(data)
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:
                # The reader is gone. Serving goes on; the lines count as dropped.
                self.dropped += lines
            self._queued -= size
