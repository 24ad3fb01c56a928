"""Heads as they are passed on: hop-by-hop fields out, where the request came from in."""

from __future__ import annotations

import re

from gateway.core.request import STRIPPED, RequestHead
from gateway.core.response import ResponseHead

STRIPPED_FIELDS = re.compile(
    rb"\r\n(?:connection|keep-alive|proxy-connection|te|upgrade|x-forwarded-(?:for|proto|host)|x-gateway-(?:hops|probe))"
    rb":[^\r]*",
    re.IGNORECASE,
)
REFUSED_FIELD = re.compile(rb"\r\nx-gateway-refused:[^\r]*", re.IGNORECASE)
CHUNKED_FIELDS = re.compile(rb"\r\n(?:transfer-encoding|trailer):[^\r]*", re.IGNORECASE)
HOST_FIELD = re.compile(rb"\r\nhost:[^\r]*", re.IGNORECASE)

MAX_HOPS = 8
"""Gateways one request may pass. A front door and an exporter are two; more than eight is a loop."""


def strip_fields(fields: bytes, names: frozenset[bytes]) -> bytes:
    """`fields` without those of these lower-case names."""
    if names <= STRIPPED:
        return STRIPPED_FIELDS.sub(b"", fields)
    # Names a client chose: never compiled into an expression, that would be work at its command.
    kept = [
        line for line in fields.split(b"\r\n")[1:] if line.partition(b":")[0].lower() not in names | STRIPPED
    ]
    return b"".join([b"\r\n" + line for line in kept])


def forwarded_fields(peer: bytes, host: bytes) -> bytes:
    """What tells the application where a request came from, when no trusted proxy in front has begun to."""
    return b"\r\nX-Forwarded-For: %b\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: %b" % (peer, host)


def request_tail(
    request: RequestHead, peer: bytes, forwarded: bytes, request_id: bytes, *, trusted: bool
) -> bytes:
    """Everything of the forwarded head after the target, the same for every attempt.

    `peer`: the client's address as text; `forwarded`: `forwarded_fields` of it and the request's host.
    `request_id` is added when the client gave none. `trusted`: the peer is a proxy whose own forwarding
    fields are continued; anybody else's are replaced.
    """
    fields = request.fields
    if request.strip is not None:
        fields = strip_fields(fields, request.strip)
    if request.authority or not request.host:
        fields = b"\r\nHost: " + request.host + HOST_FIELD.sub(b"", fields)
    if trusted and request.forwarded is not None:
        trail, proto, host = request.forwarded
        forwarded = b"\r\nX-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b" % (
            trail + b", " + peer if trail else peer,
            proto or b"http",
            host or request.host,
        )
    if not request.request_id:
        forwarded += b"\r\nX-Request-Id: " + request_id
    if request.upgrade:
        forwarded += b"\r\nConnection: Upgrade\r\nUpgrade: " + request.upgrade
    return b" HTTP/1.1" + fields + forwarded


def response_head(
    response: ResponseHead, raw: bytes, *, trusted: bool, close: bool = False, keep_for_1_0: bool = False,
    decode: bool = False, extra: bytes = b"",
) -> bytes:  # fmt: skip
    """The head a client gets for an upstream's head `raw`, unchanged bytes wherever possible.

    `trusted`: the answer comes from another gateway, so that its X-Gateway-Refused may pass; from an
    application it would make a gateway in front replay a request that was executed. `decode`: the body
    follows without its chunks. `extra`: fields to add.
    """
    changed = close or keep_for_1_0 or extra or response.strip is not None or response.minor == 0
    if not changed and (trusted or not response.refused):
        return raw
    fields = response.fields + extra
    if response.strip is not None:
        fields = strip_fields(fields, response.strip)
    if response.refused and not trusted:
        fields = REFUSED_FIELD.sub(b"", fields)
    if decode:
        fields = CHUNKED_FIELDS.sub(b"", fields)
    if response.upgrade and response.status == 101:
        fields += b"\r\nConnection: Upgrade\r\nUpgrade: " + response.upgrade
    elif close:
        fields += b"\r\nConnection: close"
    elif keep_for_1_0:
        fields += b"\r\nConnection: keep-alive"
    return b"HTTP/1.1" + raw[8 : raw.index(b"\r")] + fields + b"\r\n\r\n"
