"""What is read from a head: its first line, its framing, a few fields, and what of it is passed on.

Two twins do it. The reference below validates a head whole by one regular expression and reads it by another.
The native twin, `_scan.c`, is built where the gateway is compiled. It does both in one pass, for
heads in which everything is as usual; for any other it answers None and the reference is asked. So every
error is the reference's, and the native twin can be wrong only by what it accepts: the same tables and a fuzz
target hold it against the reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from gateway.core.errors import ProtocolError
from gateway.core.heads import (
    FIELD,
    HOP_BY_HOP,
    REFUSED,
    SINGLE,
    TOKEN,
    UNTIL_CLOSE,
    collect,
    head_end,
    read_length,
)
from gateway.core.paths import ODD

Others = dict[bytes, bytes] | None
RequestScan = tuple[int, bytes, bytes, int, bytes, bytes, int, bool, bytes, bool, Others]
"""Bytes of the head, method, target, minor version, fields as they are passed on, host, length, whether the
connection is kept, request identifier, whether the target is a path in its one form, other fields read by
lower-case name. A Connection field of just `keep-alive` or `close` is not among these."""

ResponseScan = tuple[int, int, int, int, bool, bytes, Others]
"""Bytes of the head, status, minor version, length, whether the connection is kept, the head as it is passed
on with all that came behind it, others."""

REQUEST = re.compile(
    rb"(" + TOKEN + rb"{1,32}+) ([\x21\x22\x24-\x7e\x80-\xff]++) HTTP/1\.([01])\r\n(?:" + FIELD + rb")*+\r\n"
)
RESPONSE = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*+)?\r\n(?:" + FIELD + rb")*+\r\n"
)
AUTHORITY = re.compile(rb"(?:[0-9A-Za-z\-._~%!$&'()*+,;=]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
FORWARDED = frozenset((b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"))
STRIPPED = (
    HOP_BY_HOP
    | FORWARDED
    | {
        b"x-gateway-client-cluster",
        b"x-gateway-hops",
        b"x-gateway-probe",
        b"x-gateway-served",
        b"x-gateway-service",
        b"dapr-api-token",
        b"proxy",
    }
)
"""Fields that are not forwarded as they came. A Dapr sidecar before 1.18 sends whom it calls over HTTP the
secret by which its own application knows it (`dapr-api-token`): nobody else may learn it. `Proxy` is no field
of HTTP: CGI makes HTTP_PROXY of it, through which programs then send requests (RFC 3875, 4.1.18)."""

NAMED = STRIPPED | {
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"expect",
    b"x-request-id",
    b"idempotency-key",
    b"cookie",
}
"""Fields that are read."""

OTHER_NAMES = (
    b"forwarded", b"x-forwarded", b"x-real-ip", b"true-client-ip", b"fastly-client-ip", b"client-ip",
    b"x-client-ip", b"x-cluster-client-ip", b"cf-connecting-ip", b"cf-connecting-ipv6", b"front-end-https",
    b"x-host", b"x-http-host-override", b"x-rewrite-url", b"x-scheme", b"x-url-scheme",
    b"x-gateway-client-cluster",
)  # fmt: skip
OTHER_PREFIXES = (b"x-forwarded-", b"x-original-", b"x-envoy-")
"""What other proxies, and gateways, tell applications of where a request came from, for which host and path,
and by which scheme, by name and by how names begin; frameworks and other proxies believe each of them. CGI,
WSGI and PHP take `_` in a name for `-` (RFC 3875, 4.1.18): with it they are read as well, and sent on for
nobody."""

PASSED = b"x-gateway-passed"
NOT_FORWARDED = HOP_BY_HOP | {PASSED}
"""Fields of an answer that are not forwarded as they came. The mark is made again for a gateway in front."""
NAMED_IN_ANSWERS = NOT_FORWARDED | {b"content-length", b"transfer-encoding", REFUSED}

PLAIN_CONNECTION = {b"keep-alive": True, b"close": False}


def _one_of(names: Iterable[bytes]) -> bytes:
    """An expression for one of these names."""
    return b"|".join([re.escape(name) for name in sorted(names)])


def _loose() -> bytes:
    """An expression for the names of other proxies' fields."""
    either = [re.escape(name).replace(rb"\-", rb"[-_]") for name in OTHER_NAMES]
    begun = [re.escape(name).replace(rb"\-", rb"[-_]") + rb"[^:\r]*" for name in OTHER_PREFIXES]
    return b"|".join([*either, *begun])


READ = re.compile(rb"\r\n(" + _one_of(NAMED) + rb"|" + _loose() + rb"):[ \t]*([^\r]*)", re.IGNORECASE)
DROPPED = re.compile(rb"\r\n(?:" + _one_of(STRIPPED) + rb"|" + _loose() + rb"):[^\r]*", re.IGNORECASE)
READ_IN_ANSWERS = re.compile(rb"\r\n(" + _one_of(NAMED_IN_ANSWERS) + rb"):[ \t]*([^\r]*)", re.IGNORECASE)
DROPPED_IN_ANSWERS = re.compile(rb"\r\n(?:" + _one_of(NOT_FORWARDED) + rb"):[^\r]*", re.IGNORECASE)


def reference_request(head: bytes, target_bytes: int, head_fields: int) -> RequestScan:
    """Read a request's complete head, blank line included. ProtocolError with the status to answer."""
    match = REQUEST.fullmatch(head)
    if match is None:
        raise _fault(head)
    method, target, minor_text = match.groups()
    minor = int(minor_text)
    if len(target) > target_bytes:
        raise ProtocolError(f"request target longer than {target_bytes} bytes", 414)
    if head.count(b"\n") - 2 > head_fields:
        raise ProtocolError(f"more than {head_fields} header fields", 431)
    found = READ.findall(head)
    fields = collect(found)
    host = _read_host(fields, minor)
    length = read_length(fields, minor, 0)
    request_id = fields.get(b"x-request-id", b"")
    keep_alive = _read_connection(fields, minor)
    seen = head[head.index(b"\r") : -4]
    if sum(name.lower() == b"x-request-id" for name, _ in found) > 1:
        seen = _first_id_only(seen)
    plain = target.startswith(b"/") and ODD.search(target) is None
    for name in (b"host", b"content-length", b"transfer-encoding", b"x-request-id"):
        fields.pop(name, None)
    kept = DROPPED.sub(b"", seen) if any(map(_is_dropped, found)) else seen
    others = fields or None
    return len(head), method, target, minor, kept, host, length, keep_alive, request_id, plain, others


def reference_response(head: bytes, head_fields: int) -> ResponseScan:
    """Read the complete head of an upstream's answer. ProtocolError when it must not be forwarded."""
    match = RESPONSE.fullmatch(head)
    if match is None:
        raise ProtocolError("malformed response head")
    if head.count(b"\n") - 2 > head_fields:
        raise ProtocolError(f"more than {head_fields} header fields")
    minor, status = int(match[1]), int(match[2])
    fields = collect(READ_IN_ANSWERS.findall(head))
    length = read_length(fields, minor, UNTIL_CLOSE)
    keep_alive = _read_connection(fields, minor)
    for name in (b"content-length", b"transfer-encoding"):
        fields.pop(name, None)
    onward = (
        b"HTTP/1.1" + head[8 : head.index(b"\r")] + DROPPED_IN_ANSWERS.sub(b"", head[head.index(b"\r") :])
    )
    return len(head), status, minor, length, keep_alive, onward, fields or None


def _is_dropped(field: tuple[bytes, bytes]) -> bool:
    name = field[0].lower()
    return name in STRIPPED or name not in NAMED


def _first_id_only(fields: bytes) -> bytes:
    """Without the identifiers after the first: a proxy that adds its own to a client's is no fault."""
    kept: list[bytes] = []
    seen = False
    for line in fields.split(b"\r\n"):
        is_id = line.partition(b":")[0].lower() == b"x-request-id"
        if not (is_id and seen):
            kept.append(line)
        seen = seen or is_id
    return b"\r\n".join(kept)


def _read_host(fields: dict[bytes, bytes], minor: int) -> bytes:
    host = fields.get(b"host")
    if host is None:
        if minor == 1:
            raise ProtocolError("no Host field")
        return b""
    if host and AUTHORITY.fullmatch(host) is None:
        raise ProtocolError("Host field is not a host and port")
    return host


def _read_connection(fields: dict[bytes, bytes], minor: int) -> bool:
    """Whether the connection is kept, by what most Connection fields say; such a one is taken out."""
    keep = PLAIN_CONNECTION.get(fields.get(b"connection", b"").lower())
    if keep is None:
        return minor == 1
    del fields[b"connection"]
    return keep


def _fault(head: bytes) -> ProtocolError:
    """Name what is wrong with a head the expression refused. Off the hot path."""
    line, _, rest = head.partition(b"\r\n")
    version = line.rpartition(b" ")[2]
    if re.fullmatch(rb"HTTP/[0-9]\.[0-9]", version) and version not in {b"HTTP/1.0", b"HTTP/1.1"}:
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


READ_FLAG, DROPPED_FLAG, LOOSE_FLAG, SINGLE_FLAG = 1, 2, 4, 8
"""As `_scan.c` has them."""


def request_names() -> dict[bytes, int]:
    """What the native twin is told of requests' fields."""
    flags = {name: _flags(name, NAMED, STRIPPED) for name in NAMED | STRIPPED}
    return {**flags, **dict.fromkeys(OTHER_NAMES, READ_FLAG | DROPPED_FLAG | LOOSE_FLAG)}


def response_names() -> dict[bytes, int]:
    """And of answers' fields."""
    return {name: _flags(name, NAMED_IN_ANSWERS, NOT_FORWARDED) for name in NAMED_IN_ANSWERS | NOT_FORWARDED}


def _flags(name: bytes, read: frozenset[bytes], dropped: frozenset[bytes]) -> int:
    return READ_FLAG * (name in read) | DROPPED_FLAG * (name in dropped) | SINGLE_FLAG * (name in SINGLE)


NativeRequest = Callable[[bytes, int, int, int], "RequestScan | None"]
NativeResponse = Callable[[bytes, int, int], "ResponseScan | None"]

try:
    from gateway.core._scan import Scanner
except ImportError:  # run from the sources, as on plain hosts
    Scanner = None  # type: ignore[assignment, misc]

native_request: NativeRequest | None = (
    None if Scanner is None else Scanner(request_names(), OTHER_PREFIXES).request
)
native_response: NativeResponse | None = None if Scanner is None else Scanner(response_names(), ()).response


def is_native() -> bool:
    """Whether heads are read by the native twin."""
    return native_request is not None


def scan_request(data: bytes, head_bytes: int, target_bytes: int, head_fields: int) -> RequestScan | None:
    """The head that `data` begins with, by whichever twin can; None when more bytes are needed.

    ProtocolError with the status to answer.
    """
    if native_request is not None:
        found = native_request(data, head_bytes, target_bytes, head_fields)
        if found is not None:
            return found
    end = head_end(data, head_bytes)
    return reference_request(data[:end], target_bytes, head_fields) if end else None


def scan_response(data: bytes, head_bytes: int, head_fields: int) -> ResponseScan | None:
    """The same of an answer. ProtocolError when it must not be forwarded."""
    if native_response is not None:
        found = native_response(data, head_bytes, head_fields)
        if found is not None:
            return found
    end = head_end(data, head_bytes)
    if not end:
        return None
    size, status, minor, length, keep_alive, onward, others = reference_response(data[:end], head_fields)
    return size, status, minor, length, keep_alive, onward + data[end:], others
