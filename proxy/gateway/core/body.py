"""Message bodies (RFC 9112 section 6): where one ends, without holding it; bytes are forwarded as they came,
but for trailer fields that may not be sent.

`feed(data, start)` returns the index in `data` after the body's last byte, or -1 when all of it belongs to
the body and more is to come.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.core.errors import ProtocolError
from gateway.core.heads import FIELD
from gateway.core.limits import CHUNK_LINE_BYTES, TRAILER_BYTES

SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[\t ]*;[\t\x20-\x7e\x80-\xff]*)?\r\n")
"""15 digits: a size never overflows 64 bits in whatever counts it next."""

TRAILER_LINE = re.compile(FIELD)
FORBIDDEN_TRAILER = re.compile(
    rb"(?:content-(?:length|encoding|type|range)|transfer-encoding|trailer|te|connection|keep-alive|upgrade"
    rb"|proxy-[a-z-]+|host|expect|range|max-forwards|if-[a-z-]+|authorization|www-authenticate|cookie|set-cookie"
    rb"|cache-control|location|age|expires|date|vary|retry-after|idempotency-key|dapr-api-token|forwarded"
    rb"|x-forwarded-[a-z-]+|x-original-[a-z-]+|x-real-ip|true-client-ip|x-client-ip|x-rewrite-url|x-request-id"
    rb"|x-gateway-[a-z-]+):",
    re.IGNORECASE,
)
"""Fields of framing, routing, trust, conditions, authentication and content: none may stand after the body
(RFC 9110, section 6.5.1)."""

SIZE: Final = 0
DATA: Final = 1
DATA_END: Final = 2
TRAILER: Final = 3
DONE: Final = 4


class LengthBody:
    """A body of a known number of bytes."""

    __slots__ = ("remaining",)

    def __init__(self, length: int) -> None:
        self.remaining = length

    def feed(self, data: bytes, start: int) -> int:
        here = len(data) - start
        if here < self.remaining:
            self.remaining -= here
            return -1
        end = start + self.remaining
        self.remaining = 0
        return end


class EndlessBody:
    """A response body that ends with the connection."""

    __slots__ = ()

    def feed(self, data: bytes, start: int) -> int:  # noqa: ARG002  as the others
        return -1


class ChunkedBody:
    """A chunked body: every size line, chunk end and trailer field is checked, chunk data is skipped over.

    With `payload` a list, the decoded data is appended to it for a client that cannot read chunks. `changed`
    is what is forwarded in place of the bytes fed last, when it is not they: a trailer field is held until it
    is complete, and dropped when it is forbidden.
    """

    __slots__ = ("_carry", "_left", "_limit", "_state", "_trailer", "changed", "payload", "total")

    def __init__(self, limit: int | None = None, *, decode: bool = False) -> None:
        self.total = 0
        self.payload: list[bytes] | None = [] if decode else None
        self.changed: bytes | None = None
        self._limit = limit
        self._state = SIZE
        self._left = 0
        self._trailer = 0
        self._carry = b""

    def feed(self, data: bytes, start: int) -> int:
        at = start
        end = len(data)
        self.changed = None
        while at < end:
            if self._state == TRAILER:
                return self._feed_trailer(data, start, at)
            if self._state == DATA:
                take = min(self._left, end - at)
                if self.payload is not None:
                    self.payload.append(data[at : at + take])
                at += take
                self._left -= take
                if self._left:
                    return -1
                self._state = DATA_END
                continue
            stop = data.find(b"\n", at) + 1
            if not stop:
                self._hold(data[at:])
                return -1
            line = data[at:stop]
            if self._carry:
                line = self._carry + line
                self._carry = b""
            at = stop
            self._line(line)
        return -1

    def _feed_trailer(self, data: bytes, start: int, at: int) -> int:
        """As `feed`, from a byte of the trailer section on."""
        if not self._trailer and not self._carry and data.startswith(b"\r\n", at):  # as nearly all bodies end
            self._state = DONE
            return at + 2
        kept = [data[start:at]]
        while self._state == TRAILER:
            stop = data.find(b"\n", at) + 1
            if not stop:
                self._hold(data[at:])
                break
            line = self._carry + data[at:stop]
            self._carry = b""
            at = stop
            if line == b"\r\n":
                self._state = DONE
            else:
                self._trailer += len(line)
                if self._trailer > TRAILER_BYTES:
                    raise ProtocolError("trailer section too long", 431)
                if TRAILER_LINE.fullmatch(line) is None:
                    raise ProtocolError("malformed trailer field")
            if FORBIDDEN_TRAILER.match(line) is None:
                kept.append(line)
        self.changed = b"".join(kept)
        return at if self._state == DONE else -1

    def _hold(self, part: bytes) -> None:
        self._carry += part
        if self._state == DATA_END:
            if self._carry != b"\r":
                raise ProtocolError("chunk longer than its size")
        elif len(self._carry) > (CHUNK_LINE_BYTES if self._state == SIZE else TRAILER_BYTES):
            raise ProtocolError("chunk size line or trailer field too long")

    def _line(self, line: bytes) -> None:
        if self._state == SIZE:
            match = SIZE_LINE.fullmatch(line)
            if match is None or len(line) > CHUNK_LINE_BYTES:
                raise ProtocolError("malformed chunk size line")
            self._left = int(match[1], 16)
            self.total += self._left
            if self._limit is not None and self.total > self._limit:
                raise ProtocolError(f"body longer than {self._limit} bytes", 413)
            self._state = DATA if self._left else TRAILER
        else:
            if line != b"\r\n":
                raise ProtocolError("chunk longer than its size")
            self._state = SIZE


Body = LengthBody | ChunkedBody | EndlessBody


def passed_on(body: Body, data: bytes, start: int, end: int) -> bytes:
    """What is forwarded of `data`, which was fed from `start` on and holds body up to `end` (-1: all of it).

    What is before `start` is the head.
    """
    if isinstance(body, ChunkedBody):
        if body.payload is not None:
            out = data[:start] + b"".join(body.payload)
            body.payload.clear()
            return out
        if body.changed is not None:
            return data[:start] + body.changed
    return data if end < 0 or end == len(data) else data[:end]
