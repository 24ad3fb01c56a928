"""Request and response heads: validated whole by one regular expression, read by a second.

Strictness is what keeps the gateway and the server behind it in step: whatever two parsers could read
differently (bare LF, folded lines, both framings, two lengths, space before a colon) is refused, never repaired.
Head bytes are forwarded as they came wherever nothing has to change; `fields` therefore keeps the form
`\r\nName: value` for every field, so that fields can be cut and appended without touching the others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gateway.core.errors import ProtocolError
from gateway.core.limits import Limits

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
FIELD = TOKEN + rb"++:[\t\x20-\x7e\x80-\xff]*+\r\n"
REQUEST = re.compile(
    rb"(" + TOKEN + rb"{1,32}+) ([\x21\x22\x24-\x7e]++) HTTP/1\.([01])\r\n(?:" + FIELD + rb")*+\r\n"
)
RESPONSE = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*+)?\r\n(?:" + FIELD + rb")*+\r\n"
)
REQUEST_FIELDS = re.compile(
    rb"\r\n(host|connection|content-length|transfer-encoding|expect|upgrade|te|keep-alive|proxy-connection"
    rb"|x-forwarded-for|x-forwarded-proto|x-forwarded-host|x-request-id|idempotency-key|x-gateway-hops)"
    rb":[ \t]*([^\r]*)",
    re.IGNORECASE,
)
RESPONSE_FIELDS = re.compile(
    rb"\r\n(connection|content-length|transfer-encoding|upgrade|te|keep-alive|proxy-connection|x-gateway-refused)"
    rb":[ \t]*([^\r]*)",
    re.IGNORECASE,
)
AUTHORITY = re.compile(rb"(?:[0-9A-Za-z\-._~%!$&'()*+,;=]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp]://([^/?]*)(.*)", re.DOTALL)
LENGTH = re.compile(rb"[0-9]{1,18}")
FIELD_NAME = re.compile(TOKEN + rb"+")
LONE_LF = re.compile(rb"(?<!\r)\n")

H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\n"
REFUSED = b"x-gateway-refused"
"""Field of an answer made by a gateway itself, before any application saw the request: safe to try elsewhere."""

IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))
HOP_BY_HOP = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade"))
PROTECTED = frozenset((
    b"host", b"content-length", b"transfer-encoding", b"x-forwarded-for", b"x-forwarded-proto",
    b"x-forwarded-host", b"x-request-id", b"x-gateway-hops", b"authorization", b"cookie",
))  # fmt: skip
"""Fields a Connection header may not name: removing them would change what the server is asked or told."""

CHUNKED = -1
UNTIL_CLOSE = -2
"""Special values of `length`, beside a number of bytes."""


class RequestHead:
    """One valid request head."""

    __slots__ = ("authority", "expects", "fields", "forwarded", "hops", "host", "idempotent", "keep_alive",
                 "length", "method", "minor", "request_id", "strip", "target", "upgrade")  # fmt: skip

    method: bytes
    target: bytes
    """Origin form (or `*`), whatever form came in."""
    minor: int
    fields: bytes
    host: bytes
    authority: bool
    """The target came in absolute form: `host` is from there and must replace the Host field."""
    length: int
    keep_alive: bool
    expects: bool
    """Expect: 100-continue."""
    upgrade: bytes
    """Upgrade token that may be passed on, or empty."""
    idempotent: bool
    """By method, or because the client sent an Idempotency-Key."""
    request_id: bytes
    forwarded: tuple[bytes, bytes, bytes] | None
    """X-Forwarded-For, -Proto and -Host as received, when any was."""
    hops: int
    strip: frozenset[bytes] | None
    """Lower-case names of fields that must not be forwarded; None when there are none."""


class ResponseHead:
    """One valid response head."""

    __slots__ = ("fields", "keep_alive", "length", "minor", "refused", "status", "strip", "upgrade")

    status: int
    minor: int
    fields: bytes
    length: int
    """Body framing by the fields alone; a HEAD, 1xx, 204 or 304 answer has no body whatever this says."""
    keep_alive: bool
    upgrade: bytes
    refused: bytes
    strip: frozenset[bytes] | None


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


def parse_request_head(head: bytes, limits: Limits) -> RequestHead:
    """Read a complete head, blank line included. ProtocolError with the status to answer."""
    match = REQUEST.fullmatch(head)
    if match is None:
        raise _request_fault(head)
    method, target, minor = match.groups()
    if len(target) > limits.target_bytes:
        raise ProtocolError(f"request target longer than {limits.target_bytes} bytes", 414)
    if head.count(b"\n") - 2 > limits.head_fields:
        raise ProtocolError(f"more than {limits.head_fields} header fields", 431)
    request = RequestHead()
    request.method = method
    request.target = target
    request.minor = 1 if minor == b"1" else 0
    request.fields = head[head.index(b"\r"):-4]
    request.idempotent = method in IDEMPOTENT
    _read_request_fields(request, REQUEST_FIELDS.findall(head))
    if target[0] != 47:  # "/"
        _normalise_target(request)
    return request


def _read_request_fields(request: RequestHead, found: Sequence[tuple[bytes, bytes]]) -> None:
    host = encoding = None
    length = 0
    seen_length = expects = seen_forwarded = False
    connection = upgrade = request_id = forwarded_for = forwarded_proto = forwarded_host = b""
    strip: set[bytes] | None = None
    hops = 0
    for raw_name, raw_value in found:
        name = raw_name.lower()
        value = raw_value.rstrip(b" \t")
        if name == b"host":
            if host is not None:
                raise ProtocolError("more than one Host field")
            host = value
        elif name == b"content-length":
            if seen_length or LENGTH.fullmatch(value) is None:
                raise ProtocolError("Content-Length given twice or not a number of bytes")
            seen_length = True
            length = int(value)
        elif name == b"transfer-encoding":
            if encoding is not None or value.lower() != b"chunked":
                raise ProtocolError("Transfer-Encoding other than one chunked")
            encoding = value
        elif name == b"x-request-id":
            request_id = value
        elif name == b"x-forwarded-for":
            seen_forwarded = True
            forwarded_for = forwarded_for + b", " + value if forwarded_for else value
        elif name == b"x-forwarded-proto":
            seen_forwarded = True
            forwarded_proto = value
        elif name == b"x-forwarded-host":
            seen_forwarded = True
            forwarded_host = value
        elif name == b"idempotency-key":
            request.idempotent = True
        elif name == b"expect":
            if value.lower() != b"100-continue":
                raise ProtocolError(f"cannot meet the expectation {value!r}", 417)
            expects = True
        elif name == b"x-gateway-hops":
            hops = int(value) if value.isdigit() and len(value) <= 3 else 0
            strip = strip or set()
            strip.add(name)
        else:
            strip = strip or set()
            strip.add(name)
            if name == b"connection":
                connection = connection + b"," + value if connection else value
            elif name == b"upgrade":
                upgrade = value
    if encoding is not None:
        if seen_length:
            raise ProtocolError("both Content-Length and Transfer-Encoding")
        if request.minor == 0:
            raise ProtocolError("Transfer-Encoding in an HTTP/1.0 request")
        length = CHUNKED
    if host is None:
        if request.minor == 1:
            raise ProtocolError("no Host field")
        host = b""
    elif host and AUTHORITY.fullmatch(host) is None:
        raise ProtocolError("Host field is not a host and port")
    request.host = host
    request.authority = False
    request.length = length
    request.expects = expects and request.minor == 1
    request.request_id = request_id
    request.hops = hops
    if seen_forwarded:
        request.forwarded = (forwarded_for, forwarded_proto, forwarded_host)
        strip = strip or set()
        strip.update((b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"))
    else:
        request.forwarded = None
    request.keep_alive = request.minor == 1
    request.upgrade = b""
    if connection:
        tokens = connection_tokens(connection)
        request.keep_alive = b"close" not in tokens and (request.minor == 1 or b"keep-alive" in tokens)
        named = tokens - HOP_BY_HOP - {b"close"}
        if named & PROTECTED:
            raise ProtocolError("Connection field names a field that must be forwarded")
        if strip is not None:
            strip.update(named)
        # h2c and TLS upgrades would let a client talk past the gateway's rules; bodies before an upgrade are unused.
        if b"upgrade" in tokens and request.minor == 1 and length == 0:
            kind = upgrade.lower()
            if kind and b"h2c" not in kind and b"tls" not in kind and b"http" not in kind:
                request.upgrade = upgrade
    request.strip = frozenset(strip) if strip is not None else None


def connection_tokens(value: bytes) -> set[bytes]:
    """Lower-case tokens of a Connection field. ProtocolError when one is not a token."""
    tokens = {part.strip(b" \t") for part in value.lower().split(b",")}
    tokens.discard(b"")
    for token in tokens:
        if FIELD_NAME.fullmatch(token) is None:
            raise ProtocolError("Connection field with something else than tokens")
    return tokens


def _normalise_target(request: RequestHead) -> None:
    target = request.target
    if request.method == b"CONNECT":
        raise ProtocolError("CONNECT is not served: this gateway is not a forward proxy", 405)
    if target == b"*":
        if request.method != b"OPTIONS":
            raise ProtocolError("target * is for OPTIONS only")
        return
    match = ABSOLUTE.fullmatch(target)
    if match is None or AUTHORITY.fullmatch(match[1]) is None:
        raise ProtocolError("request target is neither a path nor an http URL")
    request.host = match[1]
    request.authority = True
    rest: bytes = match[2]
    request.target = rest if rest.startswith(b"/") else b"/" + rest


def _request_fault(head: bytes) -> ProtocolError:
    """Name what is wrong with a head the expression refused. Off the hot path."""
    line, _, rest = head.partition(b"\r\n")
    parts = line.split(b" ")
    if len(parts) == 3 and re.fullmatch(rb"HTTP/[0-9]\.[0-9]", parts[2]) and parts[2] not in {b"HTTP/1.0", b"HTTP/1.1"}:
        return ProtocolError("only HTTP/1.1 and HTTP/1.0 are served", 505)
    if not REQUEST.fullmatch(line + b"\r\n\r\n"):
        return ProtocolError("malformed request line")
    for field in rest.split(b"\r\n"):
        if field[:1] in {b" ", b"\t"}:
            return ProtocolError("folded header line")
        name = field.partition(b":")[0]
        if name.rstrip(b" \t") != name:
            return ProtocolError("space before the colon of a header field")
    return ProtocolError("malformed header field")


def parse_response_head(head: bytes, limits: Limits) -> ResponseHead:
    """Read a complete head of an upstream's answer. ProtocolError when it must not be forwarded."""
    match = RESPONSE.fullmatch(head)
    if match is None:
        raise ProtocolError("malformed response head", 502)
    if head.count(b"\n") - 2 > limits.head_fields:
        raise ProtocolError(f"more than {limits.head_fields} header fields in response", 502)
    response = ResponseHead()
    response.minor = 1 if match[1] == b"1" else 0
    response.status = int(match[2])
    response.fields = head[head.index(b"\r"):-4]
    response.keep_alive = response.minor == 1
    response.upgrade = response.refused = b""
    response.strip = None
    response.length = UNTIL_CLOSE
    connection = b""
    seen_length = chunked = False
    strip: set[bytes] | None = None
    for raw_name, raw_value in RESPONSE_FIELDS.findall(head):
        name = raw_name.lower()
        value = raw_value.rstrip(b" \t")
        if name == b"content-length":
            if seen_length or LENGTH.fullmatch(value) is None:
                raise ProtocolError("Content-Length of response given twice or not a number of bytes", 502)
            seen_length = True
            response.length = int(value)
        elif name == b"transfer-encoding":
            if chunked or value.lower() != b"chunked":
                raise ProtocolError("Transfer-Encoding of response other than one chunked", 502)
            chunked = True
        elif name == REFUSED:
            response.refused = value or b"unknown"
        else:
            strip = strip or set()
            strip.add(name)
            if name == b"connection":
                connection = connection + b"," + value if connection else value
            elif name == b"upgrade":
                response.upgrade = value
    if chunked:
        if seen_length or response.minor == 0:
            raise ProtocolError("response with contradictory framing", 502)
        response.length = CHUNKED
    if connection:
        tokens = connection_tokens(connection)
        response.keep_alive = b"close" not in tokens and (response.minor == 1 or b"keep-alive" in tokens)
        named = tokens - HOP_BY_HOP - {b"close", b"content-length", b"transfer-encoding"}
        if strip is not None:
            strip.update(named)
    response.strip = frozenset(strip) if strip is not None else None
    return response
