"""Traces that are recorded, and their spans on the way to a receiver: OTLP over HTTP, in batches.

Requests never wait for it: what a receiver does not take in time stays in a bounded queue, and what comes
beyond that is dropped and counted.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from gateway import __version__
from gateway.core.body import ChunkedBody, passed_on
from gateway.core.errors import ProtocolError
from gateway.core.heads import CHUNKED
from gateway.core.limits import Limits
from gateway.core.otlp import rejected_spans, request_body
from gateway.core.response import read_response_head
from gateway.core.trace_context import RANDOM, SAMPLED, TraceContext, is_sampled

TRACES_PATH: Final = "/v1/traces"

BATCH_SPANS: Final = 256
"""Sent as soon as there are so many: some 300 KiB."""

BATCH_SECONDS: Final = 1.0
"""Or after so long."""

MOST_SPANS: Final = 2048
MOST_BYTES: Final = 4 * 1024 * 1024
"""That wait; the reserve of the memory budget has room for them."""

EXPORT_SECONDS: Final = 10.0
"""For one batch, its answer included: the default of OpenTelemetry's exporters."""

FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 30.0
"""Before a batch is sent again, doubling."""

END_SECONDS: Final = 2.0
"""For what is left when the process ends."""

AGAIN: Final = frozenset((429, 502, 503, 504))
"""Answers after which a batch may be sent again (OTLP, "Failures"); after others it is lost."""

ANSWER_LIMITS: Final = Limits(head_bytes=16 * 1024)
MOST_ANSWER_BYTES: Final = 64 * 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where spans are sent to."""

    host: str
    port: int
    path: str
    tls: bool

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_receiver(text: str) -> Receiver:
    """By the URL of a receiver, to which /v1/traces is added. ValueError says what is wrong with it."""
    wanted = "give http://HOST:PORT or https://HOST:PORT, for example http://otel-collector.monitoring:4318"
    try:
        found = urlsplit(text)
        port = found.port
    except ValueError as error:
        raise ValueError(f"{text!r} is no URL ({error}): {wanted}") from error
    if found.scheme not in {"http", "https"} or not found.hostname or not text.isascii():
        raise ValueError(f"{text!r} is no URL of a receiver: {wanted}")
    if found.username is not None or found.query or found.fragment or not text.isprintable() or " " in text:
        raise ValueError(f"{text!r} has more than a host, a port and a path: {wanted}")
    tls = found.scheme == "https"
    return Receiver(found.hostname, port or (443 if tls else 80), found.path.rstrip("/") + TRACES_PATH, tls)


class Tracer:
    """One per process."""

    def __init__(self, receiver: Receiver, sampling: float, cluster_key: str) -> None:
        """`sampling` is the part of traces that begin here which is recorded, from 0 to 1."""
        self.receiver = receiver
        self.sampling = sampling
        self.exported = 0
        self.dropped = 0
        self._resource: Mapping[str, str] = {
            "service.name": "multicluster-gateway",
            "service.namespace": "multicluster-system",
            "service.version": __version__,
            "service.instance.id": os.environ.get("POD_NAME") or f"{os.uname().nodename}:{os.getpid()}",
            "k8s.cluster.name": cluster_key.rpartition("/")[2],
            "multicluster.cluster_key": cluster_key,
        }
        self._random = random.Random(os.urandom(16))  # noqa: S311  identifiers, which anybody may know
        self._spans: list[str] = []
        self._bytes = 0
        self._due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failing = False
        self._tls = ssl.create_default_context() if receiver.tls else None

    # Traces

    def begin(self, context: TraceContext | None) -> tuple[int, int]:
        """Identifier and flags of the trace of a request whose caller said this of it."""
        if context is not None:
            return context.trace, context.flags
        trace = self._random.getrandbits(128) or 1
        return trace, RANDOM | (SAMPLED if is_sampled(trace, self.sampling) else 0)

    def span_id(self) -> int:
        """A new one."""
        return self._random.getrandbits(64) or 1

    def has_room(self) -> bool:
        """Whether one more span can wait; else it counts as dropped, before work is done for it."""
        if len(self._spans) < MOST_SPANS and self._bytes < MOST_BYTES:
            return True
        self.dropped += 1
        return False

    def record(self, span: str) -> None:
        """Have it sent. There is room for it."""
        self._spans.append(span)
        self._bytes += len(span)
        if len(self._spans) == BATCH_SPANS:
            self._due.set()

    @property
    def waiting(self) -> int:
        """Spans that are not sent yet."""
        return len(self._spans)

    def gauges(self) -> dict[str, int]:
        """For `/metrics`."""
        return {
            "gateway_spans_exported_total": self.exported,
            "gateway_spans_dropped_total": self.dropped,
            "gateway_spans_waiting": self.waiting,
        }

    # Export

    def start(self) -> None:
        """Send from now on."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="export spans")

    async def stop(self) -> None:
        """Send what is left, if that is quick."""
        if self._task is None:
            return
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                while self._spans and await self._send():
                    pass

    async def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(BATCH_SECONDS):
                    await self._due.wait()
            self._due.clear()
            while self._spans:
                if await self._send():
                    pause = FIRST_PAUSE_SECONDS
                else:
                    await asyncio.sleep(pause * self._random.uniform(0.5, 1.0))
                    pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _send(self) -> bool:
        """Send one batch; False to send it again later. It stays where it is until its answer is here."""
        batch = self._spans[:BATCH_SPANS]
        failure = ""
        status = 0
        rejected = 0
        try:
            async with asyncio.timeout(EXPORT_SECONDS):
                status, answer = await self._post(request_body(self._resource, batch))
            rejected = len(batch) if status >= 300 else min(rejected_spans(answer), len(batch))
            if status >= 300:
                failure = f"it answers {status}"
        except (OSError, TimeoutError, ProtocolError, UnicodeError) as error:
            failure = str(error) or type(error).__name__
        self._tell(failure)
        if failure and (not status or status in AGAIN):
            return False
        del self._spans[: len(batch)]
        self._bytes -= sum(map(len, batch))
        self.dropped += rejected
        self.exported += len(batch) - rejected
        return True

    def _tell(self, failure: str) -> None:
        """Say it in the log, once."""
        if bool(failure) != self._failing:
            self._failing = bool(failure)
            where = self.receiver.authority
            if failure:
                log.warning("spans cannot be sent to %s: %s", where, failure)
            else:
                log.info("spans are sent to %s again", where)

    async def _post(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer, on a connection of its own: there is one a second at most, or so."""
        to = self.receiver
        reader, writer = await asyncio.open_connection(to.host, to.port, ssl=self._tls)
        try:
            writer.write(
                f"POST {to.path} HTTP/1.1\r\nHost: {to.authority}\r\nContent-Type: application/json\r\n"
                f"User-Agent: multicluster-gateway/{__version__}\r\nConnection: close\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
            )
            writer.write(body)
            return await _read_answer(reader)
        finally:
            writer.close()


async def _read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body, as far as it has come when that is too much. ProtocolError, ConnectionError."""
    data = b""
    while True:
        head = read_response_head(data, ANSWER_LIMITS)
        if head is not None and head.status >= 200:
            break
        if head is not None:
            data = data[len(data) - head.rest :]
            continue
        if not (more := await reader.read(MOST_ANSWER_BYTES)):
            raise ConnectionError("closed without an answer")
        data += more
    body = data[len(data) - head.rest :]
    while len(body) < MOST_ANSWER_BYTES and not _is_whole(head.length, body):
        if not (more := await reader.read(MOST_ANSWER_BYTES)):
            break
        body += more
    if head.length == CHUNKED:
        chunks = ChunkedBody(decode=True)
        return head.status, passed_on(chunks, body, 0, chunks.feed(body, 0))
    return head.status, body


def _is_whole(length: int, body: bytes) -> bool:
    if length == CHUNKED:
        return ChunkedBody().feed(body, 0) >= 0
    return 0 <= length <= len(body)
