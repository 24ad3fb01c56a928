"""What an exchange needs of the side that asked: one class for each protocol a client may speak."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from gateway.core.request import RequestHead
from gateway.core.response import ResponseHead

FOREVER = float("inf")


class Downstream(ABC):
    """Where one request at a time comes from and its answer goes.

    An HTTP/1.1 connection is one (`client.Client`). Framing of requests and form of answers are its own; an
    exchange gives it the answer's head and the bytes that follow, and sets its deadline.
    """

    __slots__ = ("by_path", "deadline", "logged", "peer", "trusted", "write_blocked")

    def __init__(self, *, by_path: bool) -> None:
        self.peer = b""
        """Its address."""
        self.logged = ""
        """The access log's fields for it, once it has been logged."""
        self.deadline = FOREVER
        """When `expired` is called, on the loop's clock."""
        # Flags stand together: compiled, each is a byte, and there are as many of these as connections.
        self.by_path = by_path
        """Requests are routed by their path, not by Host."""
        self.trusted = False
        """The peer is a proxy whose forwarding fields are believed."""
        self.write_blocked = False
        """It does not read its answers: what they come from must not be read either."""

    def set_deadline(self, deadline: float) -> None:
        self.deadline = deadline

    # Memory

    @abstractmethod
    def head_bytes(self) -> int:
        """Held of requests that have not begun."""

    @abstractmethod
    def body_bytes(self) -> int:
        """Held of what is on its way, either way, with what a request under way costs by itself."""

    @abstractmethod
    def hold_still(self) -> None:
        """Read nothing, of either side, until `go_on`."""

    @abstractmethod
    def go_on(self) -> None:
        """Read again what is wanted."""

    @abstractmethod
    def set_bounds(self, write_high: int, replay: int) -> None:
        """Unsent bytes from which on `write_blocked` is true; bytes of a body that are kept for a replay."""

    @abstractmethod
    def cut(self) -> None:
        """Let go of what it holds: a request without an answer is refused, else the connection ends."""

    # Request

    @abstractmethod
    def forwarded_fields(self, head: RequestHead) -> bytes:
        """The fields that tell the application who asked, and for which Host."""

    @abstractmethod
    def describe(self) -> str:
        """The access log's fields for it, also kept in `logged`."""

    @abstractmethod
    def update_reading(self) -> None:
        """Read on or stop reading, as the exchange can take more of the body or not."""

    @abstractmethod
    def begin_tunnel(self) -> bytes:
        """Pass on whatever comes from here on; returns what has come already."""

    # Answer

    @abstractmethod
    def interim(self, answer: ResponseHead) -> None:
        """Send a 1xx answer, or the head that begins a tunnel."""

    @abstractmethod
    def answer_head(
        self, head: RequestHead, answer: ResponseHead, *,
        trusted: bool, close: bool, decode: bool, extra: bytes,
    ) -> bytes:  # fmt: skip
        """The head of an answer, to be sent in front of its body; empty when it is `answer.head`.

        `trusted`: a gateway sent it, whose marks are meant for this one. `decode`: the body is sent without
        chunks. `extra`: fields to add.
        """

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Send the next bytes of an answer or a tunnel."""

    @abstractmethod
    def send_own(
        self, head: RequestHead, status: int, text: str, *, refused: str, unanswered: bool, close: bool
    ) -> int:
        """Send an answer of the gateway's own (see `make_answer`); returns its bytes."""

    @abstractmethod
    def exchange_done(self, *, keep: bool) -> None:
        """The answer is written. `keep`: another request may follow."""

    # Ends

    @abstractmethod
    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""

    @abstractmethod
    def end_writing(self) -> bool:
        """Send the end of a tunnel's answer; False when that cannot be done alone."""

    @abstractmethod
    def close(self) -> None:
        """Close it when all is sent."""

    @abstractmethod
    def abort(self) -> None:
        """Close it now: the only honest end of an answer that has begun and cannot be finished."""

    @abstractmethod
    def finish_soon(self) -> None:
        """Drain: close now if between requests; an exchange under way closes after its answer."""

    @abstractmethod
    def expired(self) -> None:
        """The deadline has passed."""


class Downstreams:
    """All that are open in this process."""

    def __init__(self) -> None:
        self.open: set[Downstream] = set()
        self.empty = asyncio.Event()
        """Set whenever the last one closes."""

    def add(self, downstream: Downstream) -> None:
        self.open.add(downstream)

    def discard(self, downstream: Downstream) -> None:
        self.open.discard(downstream)
        if not self.open:
            self.empty.set()

    def expire(self, now: float) -> None:
        """Tell those whose deadline has passed."""
        for downstream in [one for one in self.open if one.deadline <= now]:
            downstream.expired()

    async def wait_empty(self, seconds: float) -> bool:
        """Wait until all are closed, at most so long; whether they are."""
        if self.open:
            self.empty.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self.empty.wait()
            except TimeoutError:
                return False
        return True

    def finish_soon(self) -> None:
        for downstream in list(self.open):
            downstream.finish_soon()

    def abort(self) -> None:
        for downstream in list(self.open):
            downstream.abort()
