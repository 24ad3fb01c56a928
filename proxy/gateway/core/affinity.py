"""Session affinity: what ties requests to one endpoint, a cookie or a hash of what they carry."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b

from gateway.core.request import RequestHead

ROUND_ROBIN = "RoundRobinLoadBalancer"
LEAST_WORK = "LeastWorkLoadBalancer"
HASHING = "HashingLoadBalancer"
LOAD_BALANCERS = frozenset((ROUND_ROBIN, LEAST_WORK, HASHING))

COOKIE = "gateway-session"
"""Begins the name of the session cookie, which ends with the service's tag: services that a client meets at
one address keep apart."""
SESSION = re.compile(rb"(?:^|[;,] *)" + COOKIE.encode() + rb"-([0-9a-f]{16})=([0-9a-f]{16})-([0-9a-f]{16})")
"""Tags of service, cluster and endpoint."""
HASH_ON = re.compile(r"source|(?:header|cookie):[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""`source`, `header:NAME` or `cookie:NAME`."""


@dataclass(frozen=True, slots=True)
class Balancing:
    """How an export spreads requests over its own pods."""

    kind: str = ROUND_ROBIN
    hash_on: str = "source"
    sticky: bool = False


DEFAULT_BALANCING = Balancing()


@dataclass(frozen=True, slots=True)
class Affinity:
    """What one request says about where it belongs. Empty parts say nothing."""

    cluster: str = ""
    endpoint: str = ""
    """Tags out of the session cookie."""
    key: bytes = b""
    """What to hash."""
    secret: bytes = field(default=b"", repr=False)
    """By which the tags were made."""

    def is_of(self, cluster: str) -> bool:
        """Whether the session is in this cluster, by its key."""
        return self.cluster == tag(cluster, self.secret)

    def is_at(self, endpoint: str) -> bool:
        """Whether the session is at this endpoint."""
        return self.endpoint == tag(endpoint, self.secret)


def session_secret(peers_key: bytes) -> bytes:
    """What makes session tags, from a key that all gateways share: every one on the way reads the cookie."""
    return blake2b(peers_key, digest_size=32, person=b"gateway-session").digest()


@lru_cache(maxsize=8192)
def tag(name: str, secret: bytes = b"") -> str:
    """Sixteen hexadecimal digits that stand for a cluster, an endpoint or a service without naming it.

    Without a secret whoever tries all addresses finds out which one they stand for.
    """
    return blake2b(name.encode(), digest_size=8, key=secret).hexdigest()


def session_cookie(service: str, cluster: str, endpoint: str, secret: bytes = b"") -> bytes:
    """Field that asks a client to come back to this endpoint of this cluster."""
    session = f"{COOKIE}-{tag(service)}={tag(cluster, secret)}-{tag(endpoint, secret)}"
    return f"\r\nSet-Cookie: {session}; Path=/; HttpOnly; SameSite=Lax".encode()


def read_affinity(
    service: str, balancing: Balancing, head: RequestHead, peer: bytes, *, trusted: bool, secret: bytes = b""
) -> Affinity | None:
    """None when the request may go anywhere. The cookie counts at every gateway on the way.

    `trusted`: the peer's word about where the request came from is believed.
    """
    cluster = endpoint = ""
    if head.cookie:
        own = tag(service).encode()
        match = next((one for one in SESSION.finditer(head.cookie) if one[1] == own), None)
        if match is not None:
            cluster, endpoint = match[2].decode(), match[3].decode()
    key = _hash_key(balancing.hash_on, head, peer, trusted=trusted) if balancing.kind == HASHING else b""
    return Affinity(cluster, endpoint, key, secret) if cluster or key else None


def _hash_key(hash_on: str, head: RequestHead, peer: bytes, *, trusted: bool) -> bytes:
    """Never empty: without the header or cookie asked for, the source decides."""
    where, _, name = hash_on.partition(":")
    if where == "header":
        match = re.search(
            rb"\r\n" + re.escape(name.encode()) + rb":[ \t]*([^\r]+)", head.fields, re.IGNORECASE
        )
        if match is not None:
            return bytes(match[1])
    elif where == "cookie":
        match = re.search(rb"(?:^|[;,] *)" + re.escape(name.encode()) + rb"=([^;,]+)", head.cookie)
        if match is not None:
            return bytes(match[1])
    # Behind a proxy the peer is that proxy; the client is the first one it names.
    if trusted and head.forwarded is not None and head.forwarded[0]:
        return head.forwarded[0].partition(b",")[0].strip()
    return peer
