"""Request heads (RFC 9112 section 3)."""

from __future__ import annotations

import re

from gateway.core.errors import ProtocolError
from gateway.core.heads import FIELD, HOP_BY_HOP, TOKEN, collect, connection_tokens, keeps_alive, read_length
from gateway.core.limits import Limits
from gateway.core.paths import ODD, escape, normalise, resolve

REQUEST = re.compile(
    rb"(" + TOKEN + rb"{1,32}+) ([\x21\x22\x24-\x7e\x80-\xff]++) HTTP/1\.([01])\r\n(?:" + FIELD + rb")*+\r\n"
)
NAMED = (
    b"host", b"connection", b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"te",
    b"keep-alive", b"proxy-connection", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host",
    b"x-request-id", b"idempotency-key", b"x-gateway-hops", b"x-gateway-probe", b"x-gateway-service",
    b"cookie", b"dapr-api-token", b"x-gateway-served", b"proxy",
)  # fmt: skip
OTHER_FORWARDED = (
    rb"x[-_](?:forwarded(?:[-_][^:\r]*)?|(?:original|envoy)[-_][^:\r]*|real[-_]ip|(?:cluster[-_])?client[-_]ip"
    rb"|rewrite[-_]url|host|http[-_]host[-_]override|(?:url[-_])?scheme)|forwarded|(?:true|fastly)[-_]client[-_]ip"
    rb"|client[-_]ip|cf[-_]connecting[-_]ip(?:v6)?|front[-_]end[-_]https"
)
"""What other proxies tell applications of where a request came from, for which host and path, and by which
scheme; frameworks and other proxies believe each of them. CGI, WSGI and PHP take `_` in a name for `-`
(RFC 3875, section 4.1.18): with it they are sent on for nobody."""

READ = re.compile(
    rb"\r\n(" + b"|".join(NAMED) + rb"|" + OTHER_FORWARDED + rb"):[ \t]*([^\r]*)", re.IGNORECASE
)
READ_BY_NAME = frozenset(NAMED)
"""All that is read but the fields of `OTHER_FORWARDED`."""

AUTHORITY = re.compile(rb"(?:[0-9A-Za-z\-._~%!$&'()*+,;=]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp]://([^/?]*)(.*)", re.DOTALL)

H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\n"
SERVED_MARK = re.compile(rb"\b[0-9a-f]{16}\b")
IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))
FORWARDED = frozenset((b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"))
STRIPPED = (
    HOP_BY_HOP
    | FORWARDED
    | {
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

PROTECTED = FORWARDED | {
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"x-request-id",
    b"x-gateway-hops",
    b"x-gateway-service",
    b"authorization",
    b"cookie",
}
"""Fields a Connection header may not name: removing them would change what the server is asked or told."""


class RequestHead:
    """One valid request head."""

    __slots__ = (
        "authority",
        "cookie",
        "fields",
        "forwarded",
        "health_check",
        "hops",
        "host",
        "idempotent",
        "identity",
        "keep_alive",
        "length",
        "method",
        "minor",
        "path",
        "request_id",
        "served",
        "strip",
        "target",
        "upgrade",
    )

    method: bytes
    target: bytes
    """Origin form (or `*`), whatever form came in, without dot segments."""
    path: bytes
    """The target by which routes are found: the path in its one spelling, resolved."""
    minor: int
    fields: bytes
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
    forwarded: tuple[bytes, bytes, bytes, bytes] | None
    """X-Forwarded-For, -Proto and -Host as received, and the fields of other names that tell the same, as
    they are sent on; None when there was none."""
    hops: int
    """Gateways it has passed."""
    served: tuple[bytes, ...]
    """Marks of the services it has been brought to (`forward.served_mark`)."""
    health_check: bool
    """Another gateway asks whether this one could serve the request; no application may see it."""
    strip: frozenset[bytes] | None
    """Lower-case names of fields that must not be forwarded; None when there are none."""

    def by_name(self) -> dict[bytes, bytes]:
        """Every field by its lower-case name; one that is repeated with commas between (RFC 9110 5.3)."""
        found: dict[bytes, bytes] = {}
        for line in self.fields.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            name, value = name.lower(), value.strip(b" \t")
            found[name] = found[name] + b", " + value if name in found else value
        return found


def parse_request_head(head: bytes, limits: Limits) -> RequestHead:
    """Read a complete head, blank line included. ProtocolError with the status to answer."""
    match = REQUEST.fullmatch(head)
    if match is None:
        raise _fault(head)
    method, target, minor = match.groups()
    if len(target) > limits.target_bytes:
        raise ProtocolError(f"request target longer than {limits.target_bytes} bytes", 414)
    if head.count(b"\n") - 2 > limits.head_fields:
        raise ProtocolError(f"more than {limits.head_fields} header fields", 431)
    request = RequestHead()
    request.method = method
    request.target = target
    request.minor = 1 if minor == b"1" else 0
    request.fields = head[head.index(b"\r") : -4]
    request.authority = False
    request.upgrade = b""
    request.forwarded = request.strip = request.identity = None
    request.hops = 0
    request.served = ()
    request.health_check = False
    found = READ.findall(head)
    fields = collect(found)
    if len(found) != len(fields):
        request.fields = _first_id_only(request.fields)
    request.host = _read_host(fields, request.minor)
    request.length = read_length(fields, request.minor, 0)
    request.keep_alive = request.minor == 1
    request.idempotent = method in IDEMPOTENT or b"idempotency-key" in fields
    request.request_id = fields.get(b"x-request-id", b"")
    request.cookie = fields.get(b"cookie", b"")
    if len(fields) > 1 or request.minor == 0:
        _read_rest(request, fields)
    if target[0] != 47:  # "/"
        _normalise_target(request)
    request.path = request.target
    if ODD.search(request.target):
        _normalise_path(request)
    return request


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


def _read_host(fields: dict[bytes, bytes], minor: int) -> bytes:
    host = fields.get(b"host")
    if host is None:
        if minor == 1:
            raise ProtocolError("no Host field")
        return b""
    if host and AUTHORITY.fullmatch(host) is None:
        raise ProtocolError("Host field is not a host and port")
    return host


def _read_rest(request: RequestHead, fields: dict[bytes, bytes]) -> None:
    """Fields that most requests do not have."""
    strip = fields.keys() & STRIPPED
    expect = fields.get(b"expect")
    if expect is not None:
        if expect.lower() != b"100-continue":
            raise ProtocolError("the only expectation that can be met is 100-continue", 417)
        if request.minor == 0:  # such a client cannot read a 100 answer
            strip = strip | {b"expect"}
    others = [name for name in fields if name not in READ_BY_NAME]
    strip = strip.union(others)
    if others or not FORWARDED.isdisjoint(strip):
        request.forwarded = (
            fields.get(b"x-forwarded-for", b""),
            fields.get(b"x-forwarded-proto", b""),
            fields.get(b"x-forwarded-host", b""),
            b"".join([b"\r\n%b: %b" % (name, fields[name]) for name in others if b"_" not in name]),
        )
    hops = fields.get(b"x-gateway-hops", b"0")
    request.hops = int(hops) if hops.isdigit() and len(hops) <= 3 else 0
    served = fields.get(b"x-gateway-served")
    if served is not None:
        request.served = tuple(SERVED_MARK.findall(served))
    request.health_check = b"x-gateway-probe" in fields
    request.identity = fields.get(b"x-gateway-service")
    connection = fields.get(b"connection")
    if connection is not None:
        tokens = connection_tokens(connection)
        request.keep_alive = keeps_alive(tokens, request.minor)
        if not PROTECTED.isdisjoint(tokens):
            raise ProtocolError("Connection field names a field that must be forwarded")
        strip |= tokens - {b"close"}
        if b"upgrade" in tokens and request.minor == 1 and request.length == 0:
            request.upgrade = _allowed_upgrade(fields.get(b"upgrade", b""))
    request.strip = frozenset(strip) if strip else None


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
