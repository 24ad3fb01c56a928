"""Grammar shared by request and response heads (RFC 9112 sections 2 to 5).

Strictness is what keeps the gateway and the server behind it in step: whatever two parsers could read
differently (bare LF, folded lines, both framings, two lengths, space before a colon) is refused, never
repaired. Head bytes are forwarded as they came wherever nothing has to change; `fields` of a head therefore
keeps the form `\\r\\nName: value` for every field, so that fields can be cut and appended without touching
the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Final

from gateway.core.errors import ProtocolError

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
FIELD = TOKEN + rb"++:[\t\x20-\x7e\x80-\xff]*+\r\n"
FIELD_NAME = re.compile(TOKEN + rb"+")
LENGTH = re.compile(rb"[0-9]{1,18}")
LONE_LF: Final = re.compile(rb"(?<!\r)\n")

HOP_BY_HOP = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade"))
REFUSED = b"x-gateway-refused"
"""Field of an answer made by a gateway itself, before any application saw the request: try elsewhere."""

CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2
"""Special values of a head's `length`, beside a number of bytes."""

SINGLE = frozenset((b"host", b"content-length", b"transfer-encoding", b"expect", b"upgrade"))
"""Fields that may come once: of two, the next parser might take the other one."""


def head_end(buffer: bytes, limit: int) -> int:
    """Index after the blank line that ends the head, or 0 when more bytes are needed.

    ProtocolError when the bytes so far can no longer become a valid head of that size.
    """
    end = buffer.find(b"\r\n\r\n")
    if end >= 0:
        if end + 4 > limit:
            raise ProtocolError(f"header section longer than {limit} bytes", 431)
        return end + 4
    if len(buffer) > limit:
        raise ProtocolError(f"header section longer than {limit} bytes", 431)
    if LONE_LF.search(buffer) or b"\0" in buffer:
        raise ProtocolError("line not ended by CRLF, or NUL, in header section")
    return 0


def collect(found: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Fields by lower-case name; several of one name are joined as a list, where that is allowed; of
    several request identifiers the first counts."""
    fields: dict[bytes, bytes] = {}
    for raw_name, raw_value in found:
        name = raw_name.lower()
        value = raw_value.rstrip(b" \t")
        if name in fields:
            if name == b"x-request-id":
                continue
            if name in SINGLE:
                raise ProtocolError(f"more than one {name.decode()} field")
            value = fields[name] + b", " + value
        fields[name] = value
    return fields


def read_length(fields: dict[bytes, bytes], minor: int, absent: int) -> int:
    """Body framing by Content-Length and Transfer-Encoding; `absent` when there is neither."""
    text = fields.get(b"content-length")
    encoding = fields.get(b"transfer-encoding")
    if encoding is None:
        if text is None:
            return absent
        if LENGTH.fullmatch(text) is None:
            raise ProtocolError("Content-Length is not a number of bytes")
        return int(text)
    if text is not None:
        raise ProtocolError("both Content-Length and Transfer-Encoding")
    if minor == 0:
        raise ProtocolError("Transfer-Encoding in HTTP/1.0")
    if encoding.lower() != b"chunked":
        raise ProtocolError("Transfer-Encoding other than chunked")
    return CHUNKED


def connection_tokens(value: bytes) -> set[bytes]:
    """Lower-case tokens of a Connection field. ProtocolError when one is not a token."""
    tokens = {part.strip(b" \t") for part in value.lower().split(b",")}
    tokens.discard(b"")
    for token in tokens:
        if FIELD_NAME.fullmatch(token) is None:
            raise ProtocolError("Connection field with something else than tokens")
    return tokens


def keeps_alive(tokens: set[bytes], minor: int) -> bool:
    """Whether the sender of these Connection tokens keeps its connection."""
    return b"close" not in tokens and (minor == 1 or b"keep-alive" in tokens)


def without(fields: bytes, names: AbstractSet[bytes]) -> bytes:
    """`fields` without those of these lower-case names.

    Names a peer chose: never compiled into an expression, that would be work at its command.
    """
    kept = [line for line in fields.split(b"\r\n")[1:] if line.partition(b":")[0].lower() not in names]
    return b"".join([b"\r\n" + line for line in kept])
