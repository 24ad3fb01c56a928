"""Forwarded heads: hop-by-hop fields out (RFC 9110 section 7.6.1), where the request came from in."""

from __future__ import annotations

import re
from typing import Final

from gateway.core.affinity import tag
from gateway.core.errors import ProtocolError
from gateway.core.request import RequestHead
from gateway.core.response import ResponseHead
from gateway.core.sidecars import sidecar_fields

REFUSED_FIELD = re.compile(rb"\r\nx-gateway-refused:[^\r]*", re.IGNORECASE)
CHUNKED_FIELDS = re.compile(rb"\r\n(?:transfer-encoding|trailer):[^\r]*", re.IGNORECASE)
HOST_FIELD = re.compile(rb"\r\nhost:[^\r]*", re.IGNORECASE)

MAX_HOPS: Final = 8
"""Gateways one request may pass. A front door and an exporter are two; more than eight is a loop."""


def served_mark(cluster: str, service: str) -> bytes:
    """What X-Gateway-Served has for a service of a cluster once a request was brought to its endpoints."""
    return tag(f"{cluster} {service}").encode()


def check_loop(request: RequestHead, mark: bytes) -> None:
    """ProtocolError when a request was at a service before: what it lists as an endpoint leads to gateways.

    Hops between gateways do not tell, for to an endpoint they are not said. A node's own address with the
    gateway's node port is one that no rule about addresses can know.
    """
    if mark in request.served or len(request.served) >= MAX_HOPS:
        raise ProtocolError("request comes back from the service's own endpoint: it leads to a gateway", 508)


def forwarded_fields(peer: bytes, host: bytes) -> bytes:
    """What tells the application where a request came from, when no trusted proxy in front has begun to.

    `host` is empty for an HTTP/1.0 client that named none.
    """
    fields = b"\r\nX-Forwarded-For: %b\r\nX-Forwarded-Proto: http" % peer
    return fields + b"\r\nX-Forwarded-Host: " + host if host else fields


def continued_fields(request: RequestHead, peer: bytes) -> bytes:
    """The same when a trusted proxy has begun to tell; `peer` is that proxy."""
    trail, proto, host, others = request.forwarded or (b"", b"", b"", b"")
    host = host or request.host
    return b"\r\nX-Forwarded-For: %b\r\nX-Forwarded-Proto: %b%b%b" % (
        trail + b", " + peer if trail else peer,
        proto or b"http",
        b"\r\nX-Forwarded-Host: " + host if host else b"",
        others,
    )


def request_start(
    request: RequestHead, target: bytes, service: bytes, *, to_gateway: bool, identity: bytes = b"",
    sidecar: bytes | None = None, mark: bytes = b"", caller: bytes = b"",
    behind: tuple[bytes, bytes] = (b"", b""),
) -> bytes:  # fmt: skip
    """The forwarded head as far as it is the same for every client: all but where the request came from, its
    identifier when the client gave none, and the blank line, which may stand in `behind`.

    `service`: the Host of a request that has none, which servers refuse in HTTP/1.1. `identity`: what tells
    another gateway which service it is for; empty to let it go by path. `sidecar`: it goes to a Dapr sidecar
    with this API token. `mark`: that of the service whose endpoint it goes to; none for a gateway. `caller`:
    the cluster that asks, for an application.
    """
    fields = request.kept
    if request.authority or not request.host:
        fields = b"\r\nHost: " + (request.host or service) + HOST_FIELD.sub(b"", fields)
    if request.upgrade:
        fields += b"\r\nConnection: Upgrade\r\nUpgrade: " + request.upgrade
    if sidecar is not None:
        fields = sidecar_fields(fields, sidecar)
    parts = [request.method, b" ", target, b" HTTP/1.1", fields]
    if request.served:
        mark = b" ".join((*request.served, mark) if mark else request.served)
    if mark:
        parts.append(b"\r\nX-Gateway-Served: ")
        parts.append(mark)
    if caller:
        parts.append(b"\r\nX-Gateway-Client-Cluster: ")
        parts.append(caller)
    if to_gateway:
        parts.append(b"\r\nX-Gateway-Hops: %d" % (request.hops + 1))
    if identity:
        parts.append(b"\r\nX-Gateway-Service: ")
        parts.append(identity)
    parts.append(behind[0])
    parts.append(behind[1])
    return b"".join(parts)


def response_head(
    response: ResponseHead, *, trusted: bool, close: bool = False, keep_for_1_0: bool = False,
    decode: bool = False, extra: bytes = b"",
) -> bytes:  # fmt: skip
    """The head a client gets for an upstream's; empty when it is `response.head` as it stands.

    `trusted`: the answer comes from another gateway, so that its X-Gateway-Refused may pass; from an
    application it would make a gateway in front replay a request that was executed. `decode`: the body
    follows without its chunks. `extra`: fields to add.
    """
    added = close or keep_for_1_0 or decode or extra or response.refused or response.status == 101
    if not added:
        return b""
    fields = response.head[:-4] + extra
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
    return fields + b"\r\n\r\n"
