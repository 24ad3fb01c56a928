"""Response heads (RFC 9112 section 4)."""

from __future__ import annotations

import re

from gateway.core.errors import ProtocolError
from gateway.core.heads import (
    CHUNKED,
    FIELD,
    HOP_BY_HOP,
    REFUSED,
    UNTIL_CLOSE,
    collect,
    connection_tokens,
    keeps_alive,
    read_length,
)
from gateway.core.limits import Limits

RESPONSE = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*+)?\r\n(?:" + FIELD + rb")*+\r\n"
)
READ = re.compile(
    rb"\r\n(connection|content-length|transfer-encoding|upgrade|te|keep-alive|proxy-connection|x-gateway-refused|x-gateway-passed)"
    rb":[ \t]*([^\r]*)",
    re.IGNORECASE,
)


PASSED = b"x-gateway-passed"
NOT_FORWARDED = HOP_BY_HOP | {PASSED}
"""Fields of an answer that are not forwarded as they came. The mark is made again for a gateway in front."""

BODYLESS = frozenset((*range(100, 200), 204, 304))
"""Statuses whose answers have no body, whatever their fields say."""


class ResponseHead:
    """One valid response head."""

    __slots__ = (
        "fields",
        "keep_alive",
        "length",
        "minor",
        "onward",
        "passed",
        "refused",
        "status",
        "strip",
        "upgrade",
    )

    status: int
    minor: int
    fields: bytes
    length: int
    """Body framing by the fields alone; a HEAD, 1xx, 204 or 304 answer has no body whatever this says."""
    keep_alive: bool
    upgrade: bytes
    refused: bytes
    """Why another gateway did not pass the request to an application; empty when it did."""
    passed: bool
    """Another gateway says that this is what an application answered."""
    strip: frozenset[bytes] | None
    """Lower-case names of fields that must not be forwarded; None when there are none."""
    onward: bytes
    """The head as it is passed on when nothing has to be added, once it has been: heads are remembered."""


def parse_response_head(head: bytes, limits: Limits) -> ResponseHead:
    """Read a complete head of an upstream's answer. ProtocolError when it must not be forwarded."""
    match = RESPONSE.fullmatch(head)
    if match is None:
        raise ProtocolError("malformed response head")
    if head.count(b"\n") - 2 > limits.head_fields:
        raise ProtocolError(f"more than {limits.head_fields} header fields")
    response = ResponseHead()
    response.minor = 1 if match[1] == b"1" else 0
    response.status = int(match[2])
    response.fields = head[head.index(b"\r") : -4]
    response.keep_alive = response.minor == 1
    response.upgrade = response.refused = response.onward = b""
    response.passed = False
    response.strip = None
    fields = collect(READ.findall(head))
    response.length = read_length(fields, response.minor, UNTIL_CLOSE)
    if len(fields) > 1 or response.length == UNTIL_CLOSE:
        _read_rest(response, fields)
    if response.length == CHUNKED and response.status in BODYLESS:
        # RFC 9112 6.1: such a field may not stand there, and whether chunks follow nobody knows.
        response.strip = (response.strip or frozenset()) | {b"transfer-encoding"}
        response.keep_alive = False
    return response


def _read_rest(response: ResponseHead, fields: dict[bytes, bytes]) -> None:
    """Fields that most answers do not have."""
    if REFUSED in fields:
        response.refused = fields[REFUSED] or b"unknown"
    response.passed = PASSED in fields
    response.upgrade = fields.get(b"upgrade", b"")
    strip = fields.keys() & NOT_FORWARDED
    connection = fields.get(b"connection")
    if connection is not None:
        tokens = connection_tokens(connection)
        response.keep_alive = keeps_alive(tokens, response.minor)
        strip |= tokens - {b"close", b"content-length", b"transfer-encoding"}
    response.strip = frozenset(strip) if strip else None
