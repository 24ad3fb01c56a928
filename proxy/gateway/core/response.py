"""Response heads (RFC 9112 section 4)."""

from __future__ import annotations

from gateway.core.heads import CHUNKED, REFUSED, connection_tokens, keeps_alive, without
from gateway.core.limits import Limits
from gateway.core.scan import NOT_FORWARDED, PASSED, ResponseScan, reference_response, scan_response

BODYLESS = frozenset((*range(100, 200), 204, 304))
"""Statuses whose answers have no body, whatever their fields say."""


class ResponseHead:
    """One valid response head."""

    __slots__ = ("keep_alive", "length", "minor", "onward", "passed", "refused", "rest", "status", "upgrade")

    status: int
    minor: int
    length: int
    """Body framing by the fields alone; a HEAD, 1xx, 204 or 304 answer has no body whatever this says."""
    keep_alive: bool
    upgrade: bytes
    refused: bytes
    """Why another gateway did not pass the request to an application; empty when it did."""
    passed: bytes
    """The mark of another gateway: an application answered this, or `UNANSWERED_MARK`; empty when there is
    none."""
    onward: bytes
    """The head as it is passed on when nothing has to be added, and what came behind it."""
    rest: int
    """Bytes that came behind the head."""

    @property
    def head(self) -> bytes:
        """The head as it is passed on."""
        return self.onward[: len(self.onward) - self.rest]


def read_response_head(data: bytes, limits: Limits) -> ResponseHead | None:
    """The head of an upstream's answer that `data` begins with; None when more bytes are needed.

    ProtocolError when it must not be forwarded.
    """
    found = scan_response(data, limits.head_bytes, limits.head_fields)
    return None if found is None else _made(found, data)


def parse_response_head(head: bytes, limits: Limits) -> ResponseHead:
    """Read a complete head of an upstream's answer. ProtocolError when it must not be forwarded."""
    found = scan_response(head, len(head), limits.head_fields)
    if found is None or found[0] != len(head):
        found = reference_response(head, limits.head_fields)
    return _made(found, head)


def _made(found: ResponseScan, data: bytes) -> ResponseHead:
    """The head at the beginning of `data`, of which this was found."""
    response = ResponseHead()
    (
        end, response.status, response.minor, response.length, response.keep_alive, response.onward, others,
    ) = found  # fmt: skip
    response.rest = len(data) - end
    response.upgrade = response.refused = response.passed = b""
    if others is not None:
        _read_others(response, others)
    if response.length == CHUNKED and response.status in BODYLESS:
        # RFC 9112 6.1: such a field may not stand there, and whether chunks follow nobody knows.
        _drop(response, {b"transfer-encoding"})
        response.keep_alive = False
    return response


def _read_others(response: ResponseHead, fields: dict[bytes, bytes]) -> None:
    """Fields that most answers do not have."""
    if REFUSED in fields:
        response.refused = fields[REFUSED] or b"unknown"
    if PASSED in fields:
        response.passed = fields[PASSED] or b"1"
    response.upgrade = fields.get(b"upgrade", b"")
    connection = fields.get(b"connection")
    if connection is not None:
        tokens = connection_tokens(connection)
        response.keep_alive = keeps_alive(tokens, response.minor)
        gone = tokens - NOT_FORWARDED - {b"close", b"content-length", b"transfer-encoding"}
        if gone:
            _drop(response, gone)


def _drop(response: ResponseHead, names: set[bytes]) -> None:
    """Pass these on to nobody."""
    head = response.head
    at = head.index(b"\r")
    behind = response.onward[len(head) - 4 :]
    response.onward = head[:at] + without(head[at:-4], names) + behind
