"""Admin listener: liveness, readiness, metrics and the configuration in force. Plain HTTP/1.1, GET only."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import cast

from gateway.core.answers import REASONS
from gateway.core.errors import ProtocolError
from gateway.core.heads import head_end
from gateway.core.limits import Limits
from gateway.core.request import parse_request_head

LIMITS = Limits(head_bytes=8 * 1024)
ANSWER_SECONDS = 10.0
"""A scraper's connection is closed after this without a complete request."""

Page = tuple[int, str, str]
"""Status, content type, text."""
Pages = Mapping[bytes, Callable[[], Page]]


def text_page(status: int, text: str) -> Page:
    return status, "text/plain; charset=utf-8", text


def json_page(content: object) -> Page:
    return 200, "application/json", json.dumps(content, indent=2) + "\n"


class AdminConnection(asyncio.Protocol):
    """Answers one request after the other; any fault closes."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._buffer = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._arm()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        try:
            while end := head_end(data, LIMITS.head_bytes):
                head = parse_request_head(data[:end], LIMITS)
                if head.length:
                    raise ProtocolError("no bodies here", 413)  # noqa: TRY301
                data = data[end:]
                page = self._pages.get(head.target.partition(b"?")[0])
                if head.method not in {b"GET", b"HEAD"}:
                    found = text_page(405, "GET only\n")
                elif page is None:
                    known = " ".join(sorted(path.decode() for path in self._pages))
                    found = text_page(404, f"here are {known}\n")
                else:
                    found = page()
                self._answer(found, head_only=head.method == b"HEAD", close=not head.keep_alive)
        except ProtocolError as error:
            self._answer(text_page(error.status, f"{error}\n"), head_only=False, close=True)
            return
        self._buffer = data
        self._arm()

    def _answer(self, page: Page, *, head_only: bool, close: bool) -> None:
        status, content_type, text = page
        body = text.encode()
        self._transport.write(
            b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nContent-Length: %d\r\nCache-Control: no-store\r\n%b\r\n%b"
            % (status, REASONS.get(status, b"OK"), content_type.encode(), len(body),
               b"Connection: close\r\n" if close else b"", b"" if head_only else body)
        )  # fmt: skip
        if close:
            self._transport.close()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(ANSWER_SECONDS, self._transport.close)
