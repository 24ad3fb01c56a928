"""Heads: what is read from them, and everything that must be refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import ProtocolError
from gateway.core.heads import CHUNKED, UNTIL_CLOSE, collect, head_end
from gateway.core.limits import Limits
from gateway.core.request import parse_request_head
from gateway.core.response import parse_response_head

LIMITS = Limits(head_bytes=2048, head_fields=8, target_bytes=200)

GOOD = {
    "minimal": (
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        {"method": b"GET", "target": b"/", "host": b"a", "length": 0},
    ),
    "old": (b"GET /x HTTP/1.0\r\n\r\n", {"keep_alive": False, "host": b"", "minor": 0}),
    "old kept": (b"GET /x HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", {"keep_alive": True}),
    "close": (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", {"keep_alive": False}),
    "length": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:  7 \r\n\r\n",
        {"length": 7, "idempotent": False},
    ),
    "chunked": (b"POST / HTTP/1.1\r\nhost:a\r\nTransfer-Encoding: Chunked\r\n\r\n", {"length": CHUNKED}),
    "absolute": (
        b"GET http://b.c:80/p?q HTTP/1.1\r\nHost: a\r\n\r\n",
        {"target": b"/p?q", "host": b"b.c:80", "authority": True},
    ),
    "absolute bare": (b"GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", {"target": b"/", "host": b"b"}),
    "absolute query": (b"GET http://b?q HTTP/1.1\r\nHost: a\r\n\r\n", {"target": b"/?q"}),
    "star": (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", {"target": b"*"}),
    "expect": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-Continue\r\n\r\n",
        {"length": 1, "idempotent": False},
    ),
    "key": (b"POST / HTTP/1.1\r\nHost: a\r\nIdempotency-Key: k\r\n\r\n", {"idempotent": True}),
    "upgrade": (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
        {"upgrade": b"websocket", "keep_alive": True},
    ),
    "h2c is no upgrade": (
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n"
        ),
        {"upgrade": b""},
    ),
    "v6": (b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", {"host": b"[::1]:80"}),
    "obs-text": (b"GET / HTTP/1.1\r\nHost: a\r\nX: caf\xe9\r\n\r\n", {"host": b"a"}),
}

REFUSED = {
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    "bad host": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "host list": (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
    "both framings": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    "both framings, other order": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        400,
    ),
    "two lengths": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
    "length list": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", 400),
    "negative length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
    "signed length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400),
    "hex length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", 400),
    "empty length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400),
    "huge length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
    "spaced length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 1\r\n\r\n", 400),
    "encoding gzip": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
    "encoding list": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400),
    "encoding twice": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    "encoding xchunked": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 400),
    "encoding quoted": (b'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "chunked"\r\n\r\n', 400),
    "encoding with tab": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", 400),
    "encoding in 1.0": (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    "space before colon": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\n", 400),
    "tab before colon": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n", 400),
    "space before name": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    "folded": (b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", 400),
    "folded encoding": (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n", 400),
    "bare LF": (b"GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n", 400),
    "bare LF first line": (b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    "bare CR": (b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\rY: 2\r\n\r\n", 400),
    "NUL": (b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", 400),
    "NUL in name": (b"GET / HTTP/1.1\r\nHost: a\r\nX\x00: 1\r\n\r\n", 400),
    "no colon": (b"GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", 400),
    "empty name": (b"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", 400),
    "0.9": (b"GET /\r\n\r\n", 400),
    "two spaces": (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "space in target": (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "trailing space": (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
    "fragment": (b"GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "relative": (b"GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "https": (b"GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "userinfo": (b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "star GET": (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "connect": (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    "version 2": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    "version 1.2": (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
    "version word": (b"GET / http/1.1\r\nHost: a\r\n\r\n", 400),
    "method": (b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "method length": (b"G" * 33 + b" / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "expect": (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", 417),
    "connection names host": (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Host\r\n\r\n", 400),
    "connection names forwarded": (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Forwarded-For\r\n\r\n",
        400,
    ),
    "connection no token": (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: a b\r\n\r\n", 400),
    "target": (b"GET /" + b"a" * 200 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    "fields": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 9 + b"\r\n", 431),
    "bytes": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"1" * 2048 + b"\r\n\r\n", 431),
}


def feed(data: bytes, step: int) -> bytes:
    """The head as a connection would cut it out when bytes arrive `step` at a time."""
    for stop in range(step, len(data) + step, step):
        end = head_end(data[:stop], LIMITS.head_bytes)
        if end:
            return data[:end]
    raise AssertionError("no end found")


@pytest.mark.parametrize("step", [1, 2, 3, 10_000], ids=["bytes", "pairs", "threes", "whole"])
@pytest.mark.parametrize("name", GOOD)
def test_a_valid_head_is_read_however_it_arrives(name: str, step: int) -> None:
    data, expected = GOOD[name]
    head = parse_request_head(feed(data + b"POST /next", step), LIMITS)
    assert {field: getattr(head, field) for field in expected} == expected


@pytest.mark.parametrize("step", [1, 10_000], ids=["bytes", "whole"])
@pytest.mark.parametrize("name", REFUSED)
def test_a_head_two_parsers_could_read_differently_is_refused(name: str, step: int) -> None:
    data, status = REFUSED[name]
    with pytest.raises(ProtocolError) as caught:
        parse_request_head(feed(data, step), LIMITS)
    assert caught.value.status == status, caught.value


def test_a_head_without_end_is_refused_at_its_limit_not_held() -> None:
    with pytest.raises(ProtocolError) as caught:
        head_end(b"GET / HTTP/1.1\r\nX: " + b"a" * 2048, 2048)
    assert caught.value.status == 431


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_parsers(noise: bytes) -> None:
    for data in (
        noise,
        b"GET / HTTP/1.1\r\n" + noise + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX:" + noise,
    ):
        for parse in (parse_request_head, parse_response_head):
            try:
                end = head_end(data, 2048)
                if end:
                    parse(data[:end], LIMITS)
            except ProtocolError:
                pass


@given(
    st.lists(
        st.sampled_from(
            [
                b"Host: a\r\n",
                b"Content-Length: 3\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"Connection: close\r\n",
                b"Content-Length : 3\r\n",
                b" folded\r\n",
                b"X: y\r\n",
                b"Transfer-Encoding: identity\r\n",
                b"X: \n\r\n",
            ]
        ),
        max_size=6,
    )
)
def test_framing_is_never_ambiguous(fields: list[bytes]) -> None:
    """Whatever is accepted has one Host, at most one framing, and no line others could see otherwise."""
    data = b"POST / HTTP/1.1\r\n" + b"".join(fields) + b"\r\n"
    try:
        parse_request_head(data, LIMITS)
    except ProtocolError:
        return
    assert fields.count(b"Host: a\r\n") == 1
    assert sum(field.startswith((b"Content-Length:", b"Transfer-Encoding:")) for field in fields) <= 1
    assert not any(field in {b"Content-Length : 3\r\n", b" folded\r\n", b"X: \n\r\n"} for field in fields)


RESPONSES = {
    "length": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
        {"status": 200, "length": 2, "keep_alive": True},
    ),
    "no reason": (b"HTTP/1.1 204\r\n\r\n", {"status": 204, "length": UNTIL_CLOSE}),
    "1.0": (b"HTTP/1.0 200 OK\r\n\r\n", {"keep_alive": False, "length": UNTIL_CLOSE}),
    "chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", {"length": CHUNKED}),
    "refused": (b"HTTP/1.1 404 Not Found\r\nX-Gateway-Refused: no-route\r\n\r\n", {"refused": b"no-route"}),
}


@pytest.mark.parametrize("name", RESPONSES)
def test_a_valid_response_head_is_read(name: str) -> None:
    data, expected = RESPONSES[name]
    head = parse_response_head(data, LIMITS)
    assert {field: getattr(head, field) for field in expected} == expected


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 099 Odd\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        b"SSH-2.0\r\n\r\n",
    ],
)
def test_a_response_that_could_desynchronise_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_response_head(data, LIMITS)


def test_an_expectation_of_a_client_of_http_1_0_goes_no_further() -> None:
    head = parse_request_head(b"GET / HTTP/1.0\r\nExpect: 100-continue\r\nA: b\r\n\r\n", LIMITS)
    assert head.kept == b"\r\nA: b"


def test_fields_that_may_stand_once_are_not_joined() -> None:
    assert collect([(b"A", b"1 "), (b"a", b"2")]) == {b"a": b"1, 2"}
    with pytest.raises(ProtocolError, match="more than one host field"):
        collect([(b"Host", b"a"), (b"host", b"b")])


def test_a_response_with_too_many_fields_is_refused() -> None:
    with pytest.raises(ProtocolError, match="more than 1 header fields"):
        parse_response_head(b"HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\n\r\n", Limits(head_fields=1))
