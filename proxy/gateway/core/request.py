"""Request heads (RFC 9112 section 3)."""

from __future__ import annotations

import re
from typing import Final

from gateway.core.errors import ProtocolError
from gateway.core.heads import connection_tokens, keeps_alive, without
from gateway.core.limits import Limits
from gateway.core.paths import ODD, escape, normalise, resolve
from gateway.core.scan import (
    AUTHORITY,
    FORWARDED,
    NAMED,
    OTHER_NAMES,
    STRIPPED,
    RequestScan,
    reference_request,
    scan_request,
)

ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp]://([^/?]*)(.*)", re.DOTALL)

H2_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\n"
SERVED_MARK: Final = re.compile(rb"\b[0-9a-f]{16}\b")
IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))

PROTECTED: Final = FORWARDED | {
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"x-request-id",
    b"x-gateway-client-cluster",
    b"x-gateway-hops",
    b"x-gateway-service",
    b"authorization",
    b"cookie",
}
"""Fields a Connection header may not name: removing them would change what the server is asked or told."""

QUIET: Final = FORWARDED | {b"cookie", *OTHER_NAMES}
"""Fields that are read when somebody asks: alone they change nothing."""


class RequestHead:
    """One valid request head."""

    __slots__ = (
        "authority",
        "cookie",
        "health_check",
        "hops",
        "host",
        "idempotent",
        "identity",
        "keep_alive",
        "kept",
        "length",
        "method",
        "minor",
        "others",
        "path",
        "raw",
        "request_id",
        "served",
        "target",
        "upgrade",
    )

    method: bytes
    target: bytes
    """Origin form (or `*`), whatever form came in, without dot segments."""
    path: bytes
    """The target by which routes are found: the path in its one spelling, resolved."""
    minor: int
    raw: bytes
    """The head as received, blank line included."""
    kept: bytes
    """Fields that are forwarded as they came."""
    others: dict[bytes, bytes] | None
    """What not every request has, of the fields that are read (`scan.NAMED`), by lower-case name."""
    host: bytes
    authority: bool
    """The target came in absolute form: `host` is from there and must replace the Host field."""
    length: int
    keep_alive: bool
    upgrade: bytes
    """Upgrade token that may be passed on, or empty."""
    idempotent: bool
    """By method, or because the client sent an Idempotency-Key."""
    identity: bytes | None
    """Which service it is for, as a gateway in front says (see `identity`); None when nobody does."""
    request_id: bytes
    cookie: bytes
    hops: int
    """Gateways it has passed."""
    served: tuple[bytes, ...]
    """Marks of the services it has been brought to (`forward.served_mark`)."""
    health_check: bool
    """Another gateway asks whether this one could serve the request; no application may see it."""

    @property
    def fields(self) -> bytes:
        """All fields, as received."""
        return self.raw[self.raw.index(b"\r") : -4]

    def by_name(self) -> dict[bytes, bytes]:
        """Every field by its lower-case name; one that is repeated with commas between (RFC 9110 5.3), but of
        several request identifiers the first."""
        found: dict[bytes, bytes] = {}
        for line in self.fields.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            name, value = name.lower(), value.strip(b" \t")
            if name not in found:
                found[name] = value
            elif name != b"x-request-id":
                found[name] = found[name] + b", " + value
        return found

    @property
    def forwarded(self) -> tuple[bytes, bytes, bytes, bytes] | None:
        """X-Forwarded-For, -Proto and -Host as received, and the fields of other names that tell the same, as
        they are sent on; None when there was none."""
        fields = self.others
        if fields is None:
            return None
        others = [name for name in fields if name not in NAMED]
        if not others and FORWARDED.isdisjoint(fields):
            return None
        return (
            fields.get(b"x-forwarded-for", b""),
            fields.get(b"x-forwarded-proto", b""),
            fields.get(b"x-forwarded-host", b""),
            b"".join([b"\r\n%b: %b" % (name, fields[name]) for name in others if b"_" not in name]),
        )


def read_request_head(data: bytes, limits: Limits) -> RequestHead | None:
    """The head that `data` begins with; None when more bytes are needed. ProtocolError as below."""
    found = scan_request(data, limits.head_bytes, limits.target_bytes, limits.head_fields)
    return None if found is None else _made(found, data)


def parse_request_head(head: bytes, limits: Limits) -> RequestHead:
    """Read a complete head, blank line included. ProtocolError with the status to answer."""
    found = scan_request(head, len(head), limits.target_bytes, limits.head_fields)
    if found is None or found[0] != len(head):
        found = reference_request(head, limits.target_bytes, limits.head_fields)
    return _made(found, head)


def _made(found: RequestScan, data: bytes) -> RequestHead:
    """The head at the beginning of `data`, of which this was found."""
    request = RequestHead()
    (
        end, request.method, request.target, request.minor, request.kept, request.host, request.length,
        request.keep_alive, request.request_id, plain, others,
    ) = found  # fmt: skip
    request.raw = data if end == len(data) else data[:end]
    request.others = others
    request.authority = request.health_check = False
    request.upgrade = request.cookie = b""
    request.identity = None
    request.hops = 0
    request.served = ()
    request.idempotent = request.method in IDEMPOTENT
    if others is not None:
        request.cookie = others.get(b"cookie", b"")
        if not QUIET.issuperset(others):
            _read_others(request, others)
    if not request.target.startswith(b"/"):
        _normalise_target(request)
    request.path = request.target
    if not plain and ODD.search(request.target):
        _normalise_path(request)
    return request


def _normalise_path(request: RequestHead) -> None:
    """Find routes by the one spelling of the path, and pass dot segments on to nobody.

    Other spellings go on as they came: a signature may cover them. RFC 3986 6.2.2.
    """
    path, question, query = request.target.partition(b"?")
    spelled = normalise(path)
    resolved = resolve(spelled)
    request.path = resolved
    if resolved != spelled or not request.target.isascii():
        request.target = resolved + question + escape(query)


def _read_others(request: RequestHead, fields: dict[bytes, bytes]) -> None:
    """Fields that ask for something."""
    if b"idempotency-key" in fields:
        request.idempotent = True
    gone: set[bytes] = set()
    expect = fields.get(b"expect")
    if expect is not None:
        if expect.lower() != b"100-continue":
            raise ProtocolError("the only expectation that can be met is 100-continue", 417)
        if request.minor == 0:  # such a client cannot read a 100 answer
            gone.add(b"expect")
    _read_gateways(request, fields)
    connection = fields.get(b"connection")
    if connection is not None:
        tokens = connection_tokens(connection)
        request.keep_alive = keeps_alive(tokens, request.minor)
        if not PROTECTED.isdisjoint(tokens):
            raise ProtocolError("Connection field names a field that must be forwarded")
        gone |= tokens - STRIPPED - {b"close"}
        if b"upgrade" in tokens and request.minor == 1 and request.length == 0:
            request.upgrade = _allowed_upgrade(fields.get(b"upgrade", b""))
    if gone:
        request.kept = without(request.kept, gone)


def _read_gateways(request: RequestHead, fields: dict[bytes, bytes]) -> None:
    """What gateways in front tell."""
    hops = fields.get(b"x-gateway-hops", b"0")
    request.hops = int(hops) if hops.isdigit() and len(hops) <= 3 else 0
    served = fields.get(b"x-gateway-served")
    if served is not None:
        request.served = tuple(SERVED_MARK.findall(served))
    request.health_check = b"x-gateway-probe" in fields
    request.identity = fields.get(b"x-gateway-service")


def _allowed_upgrade(kind: bytes) -> bytes:
    """h2c and TLS would let a client talk past the gateway's rules."""
    lower = kind.lower()
    return b"" if b"h2c" in lower or b"tls" in lower or b"http" in lower else kind


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
