"""What ties requests to one endpoint: the session cookie, and what an export hashes."""

from __future__ import annotations

import pytest

from gateway.core.affinity import (
    HASHING,
    Affinity,
    Balancing,
    read_affinity,
    session_cookie,
    session_secret,
    tag,
)
from gateway.core.limits import Limits
from gateway.core.request import RequestHead, parse_request_head

PEER = b"192.0.2.1"
SERVICE = "demo/app"


def head(*fields: str) -> RequestHead:
    lines = ["GET / HTTP/1.1", "Host: x", *fields]
    return parse_request_head("\r\n".join([*lines, "", ""]).encode(), Limits())


def key(hash_on: str, *fields: str, trusted: bool = False) -> bytes:
    affinity = read_affinity(SERVICE, Balancing(HASHING, hash_on), head(*fields), PEER, trusted=trusted)
    assert affinity is not None
    return affinity.key


def test_a_session_cookie_comes_back_as_the_endpoint_that_set_it() -> None:
    cookie = (
        session_cookie(SERVICE, "a/b/c/east", "10.0.0.1:3000").partition(b": ")[2].partition(b";")[0].decode()
    )
    for sent in (cookie, f"other=1; {cookie}", f"other=1, {cookie}"):
        affinity = read_affinity(SERVICE, Balancing(), head(f"Cookie: {sent}"), PEER, trusted=False)
        assert affinity == Affinity(tag("a/b/c/east"), tag("10.0.0.1:3000"))


def test_a_session_of_gateways_with_a_key_names_nobody_and_holds_for_them_alone() -> None:
    """An IPv4 address is one of four thousand million: without a key each can be tried."""
    secret = session_secret(b"what the gateways share")
    cookie = session_cookie(SERVICE, "a/b/c/east", "10.0.0.1:3000", secret)
    sent = head("Cookie: " + cookie.partition(b": ")[2].partition(b";")[0].decode())
    for plain in (tag("10.0.0.1:3000"), tag("a/b/c/east"), tag("10.0.0.1:3000", session_secret(b"another"))):
        assert plain.encode() not in cookie
        assert len(plain) == 16
    session = read_affinity(SERVICE, Balancing(), sent, PEER, trusted=False, secret=secret)
    assert session is not None
    assert session.is_of("a/b/c/east")
    assert session.is_at("10.0.0.1:3000")
    assert not session.is_of("a/b/c/west")
    assert not session.is_at("10.0.0.2:3000")
    other = read_affinity(SERVICE, Balancing(), sent, PEER, trusted=False, secret=session_secret(b"another"))
    assert other is not None
    assert not other.is_of("a/b/c/east")
    assert secret.hex() not in repr(session)


def test_another_services_session_counts_for_nothing() -> None:
    cookies = [session_cookie(f"demo/{name}", "a/b/c/east", name).decode() for name in ("pay", "shop")]
    sent = "; ".join(cookie.partition(": ")[2].partition(";")[0] for cookie in cookies)
    assert read_affinity(SERVICE, Balancing(), head(f"Cookie: {sent}"), PEER, trusted=False) is None
    shop = read_affinity("demo/shop", Balancing(), head(f"Cookie: {sent}"), PEER, trusted=False)
    assert shop == Affinity(tag("a/b/c/east"), tag("shop"))


@pytest.mark.parametrize("fields", [(), ("Cookie: other=1",), ("Cookie: gateway-session-12=12-34",)])
def test_a_request_without_a_session_may_go_anywhere(fields: tuple[str, ...]) -> None:
    assert read_affinity(SERVICE, Balancing(), head(*fields), PEER, trusted=False) is None


def test_a_header_or_a_cookie_is_hashed_where_there_is_one() -> None:
    assert key("header:X-User", "x-user: ann") == b"ann"
    assert key("cookie:user", "Cookie: a=1; user=ann") == b"ann"
    assert key("header:X-User") == key("cookie:user", "Cookie: a=1") == PEER


def test_the_source_is_the_peer_or_the_client_that_a_trusted_proxy_names() -> None:
    assert key("source", "X-Forwarded-For: 10.0.0.9, 10.0.0.8") == PEER
    assert key("source", "X-Forwarded-For: 10.0.0.9, 10.0.0.8", trusted=True) == b"10.0.0.9"
    assert key("source", trusted=True) == key("source", "X-Forwarded-Proto: http", trusted=True) == PEER
