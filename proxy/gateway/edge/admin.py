"""Admin pages: liveness, readiness, metrics and the configuration in force. Plain HTTP/1.1, GET only."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, cast

from gateway.core.answers import REASONS
from gateway.core.errors import ProtocolError
from gateway.core.heads import head_end
from gateway.core.limits import Limits
from gateway.core.request import RequestHead, parse_request_head

LIMITS = Limits(head_bytes=8 * 1024)
ANSWER_SECONDS = 10.0
"""A scraper's connection is closed after this without a complete request."""

MOST_UNSENT_BYTES = 8 * 1024 * 1024
MOST_MADE = 4
"""Of pages that nobody reads, and pages in the making; beyond, only those that probes ask for are made."""

PROBED = {b"/livez", b"/readyz"}

CHUNKS_AT_ONCE = 2_000
"""Of a JSON text, put together: no other thread runs meanwhile."""


class Page(NamedTuple):
    """An answer."""

    status: int
    content_type: str
    parts: Sequence[bytes]
    """The text in UTF-8. In parts, because putting a large one together holds up the requests."""

    @property
    def text(self) -> str:
        return b"".join(self.parts).decode()


Pages = Mapping[bytes, Callable[[], Page | Awaitable[Page]]]

log = logging.getLogger(__name__)


def text_page(status: int, text: str) -> Page:
    return Page(status, "text/plain; charset=utf-8", [text.encode()])


def metrics_page(parts: Sequence[bytes]) -> Page:
    """Prometheus text, in parts."""
    return Page(200, "text/plain; version=0.0.4; charset=utf-8", parts)


def json_page(content: object) -> Page:
    parts = []
    chunks = json.JSONEncoder(indent=2).iterencode(content)
    while some := list(islice(chunks, CHUNKS_AT_ONCE)):
        parts.append("".join(some).encode())
    return Page(200, "application/json", [*parts, b"\n"])


class AdminConnection(asyncio.Protocol):
    """Answers one request after the other; any fault closes."""

    def __init__(self, pages: Pages, open_ones: set[AdminConnection]) -> None:
        """`open_ones`: all that are open, which this one is among from its start to its end."""
        self._pages = pages
        self._open = open_ones
        self._unsent = 0
        """Bytes nobody had read when the time was over last."""
        self._buffer = b""
        self._timer: asyncio.TimerHandle | None = None
        self._making: asyncio.Task[None] | None = None
        """A page that takes a while; what arrives meanwhile waits in the buffer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._open.add(self)
        self._arm()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        self._disarm()
        self._open.discard(self)
        if self._making is not None:
            self._making.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._making is None:
            self._go_on()

    def _go_on(self) -> None:
        """Answer what has arrived, up to a page that takes a while."""
        try:
            while end := head_end(self._buffer, LIMITS.head_bytes):
                head = parse_request_head(self._buffer[:end], LIMITS)
                if head.length:
                    raise ProtocolError("no bodies here", 413)  # noqa: TRY301
                self._buffer = self._buffer[end:]
                found = self._find(head)
                if isinstance(found, Page):
                    self._answer(head, found)
                else:
                    self._disarm()
                    self._transport.pause_reading()
                    self._making = asyncio.ensure_future(self._answer_later(head, found))
                    return
        except ProtocolError as error:
            self._write(text_page(error.status, f"{error}\n"), head_only=False, close=True)
            return
        self._arm()

    def _find(self, head: RequestHead) -> Page | Awaitable[Page]:
        if head.method not in {b"GET", b"HEAD"}:
            return text_page(405, "GET only\n")
        path = head.target.partition(b"?")[0]
        if path not in PROBED and self._busy():
            return text_page(503, "pages wait here that nobody reads; try again in a moment\n")
        page = self._pages.get(path)
        if page is None:
            pages = " ".join(sorted(path.decode() for path in self._pages))
            return text_page(404, f"there is no such page; the pages are {pages}\n")
        return page()

    async def _answer_later(self, head: RequestHead, found: Awaitable[Page]) -> None:
        try:
            page = await found
        except Exception:
            log.exception("the page %s cannot be made", head.target.decode())
            page = text_page(500, "this page cannot be made; the log says why\n")
        self._making = None
        self._answer(head, page)
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._go_on()

    def _answer(self, head: RequestHead, page: Page) -> None:
        self._write(page, head_only=head.method == b"HEAD", close=not head.keep_alive)

    def _write(self, page: Page, *, head_only: bool, close: bool) -> None:
        self._transport.write(
            b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nContent-Length: %d\r\nCache-Control: no-store\r\n%b\r\n"
            % (page.status, REASONS.get(page.status, b"OK"), page.content_type.encode(),
               sum(map(len, page.parts)), b"Connection: close\r\n" if close else b"")
        )  # fmt: skip
        if not head_only:
            for part in page.parts:
                self._transport.write(part)
        if close:
            self._transport.close()

    def _busy(self) -> bool:
        made = sum(one.makes for one in self._open)
        return made >= MOST_MADE or sum(one.unsent for one in self._open) > MOST_UNSENT_BYTES

    @property
    def makes(self) -> bool:
        """A page for it is in the making."""
        return self._making is not None

    @property
    def unsent(self) -> int:
        """Bytes of answers that are not read yet."""
        return int(self._transport.get_write_buffer_size())

    def _arm(self) -> None:
        self._disarm()
        self._unsent = self.unsent
        self._timer = asyncio.get_running_loop().call_later(ANSWER_SECONDS, self._expired)

    def _expired(self) -> None:
        """Close it, unless an answer is being read: to wait for one that is not would keep it for ever."""
        unsent = self.unsent
        if not unsent:
            self._transport.close()
        elif unsent < self._unsent:
            self._arm()
        else:
            self._transport.abort()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
