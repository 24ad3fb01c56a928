"""Response heads (RFC 9112 section 4)."""

from __future__ import annotations

from gateway.core.heads import CHUNKED, REFUSED, connection_tokens, keeps_alive, without
from gateway.core.limits import Limits
from gateway.core.scan import NOT_FORWARDED, PASSED, scan_response

BODYLESS = frozenset((*range(100, 200), 204, 304))
"""Statuses whose answers have no body, whatever their fields say."""


class ResponseHead:
    """One valid response head."""

    __slots__ = ("keep_alive", "length", "minor", "onward", "passed", "refused", "status", "upgrade")

    status: int
    minor: int
    length: int
    """Body framing by the fields alone; a HEAD, 1xx, 204 or 304 answer has no body whatever this says."""
    keep_alive: bool
    upgrade: bytes
    refused: bytes
    """Why another gateway did not pass the request to an application; empty when it did."""
    passed: bool
    """Another gateway says that this is what an application answered."""
    onward: bytes
    """The head as it is passed on when nothing has to be added."""


def parse_response_head(head: bytes, limits: Limits) -> ResponseHead:
    """Read a complete head of an upstream's answer. ProtocolError when it must not be forwarded."""
    response = ResponseHead()
    (
        response.status, response.minor, response.length, response.keep_alive, response.onward, others,
    ) = scan_response(head, limits.head_fields)  # fmt: skip
    response.upgrade = response.refused = b""
    response.passed = False
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
    response.passed = PASSED in fields
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
    at = response.onward.index(b"\r")
    response.onward = response.onward[:at] + without(response.onward[at:-4], names) + b"\r\n\r\n"
