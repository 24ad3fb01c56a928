"""Answers of the gateway's own, and heads as they are passed on."""

from __future__ import annotations

import pytest

from gateway.core.answers import make_answer
from gateway.core.errors import ProtocolError
from gateway.core.forward import (
    check_loop,
    continued_fields,
    forwarded_fields,
    request_start,
    response_head,
    served_mark,
)
from gateway.core.limits import Limits
from gateway.core.request import parse_request_head
from gateway.core.response import parse_response_head


@pytest.mark.parametrize(
    ("answer", "fields", "body"),
    [
        (make_answer(404, "Service Not Found"), [], "Service Not Found"),
        (make_answer(400, "no", close=True), ["Connection: close"], "no\n"),
        (make_answer(400, "no", minor=0), ["Connection: keep-alive"], "no\n"),
        (
            make_answer(405, "no"),
            ["Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"],
            "no\n",
        ),
        (
            make_answer(503, "no", refused="no-endpoint"),
            ["X-Gateway-Refused: no-endpoint", "Retry-After: 1"],
            "no\n",
        ),
    ],
)
def test_an_answer_says_what_a_client_may_do_next(answer: bytes, fields: list[str], body: str) -> None:
    head, _, found = answer.decode().partition("\r\n\r\n")
    length = f"Content-Length: {len(body)}"
    assert head.split("\r\n")[1:] == ["Content-Type: text/plain; charset=utf-8", length, *fields]
    assert found == body


def test_an_answer_to_head_keeps_its_length_and_has_no_body() -> None:
    assert make_answer(400, "no", head_only=True).endswith(b"Content-Length: 3\r\n\r\n")


def test_where_a_request_came_from_is_begun_or_continued() -> None:
    assert forwarded_fields(b"192.0.2.1", b"x:80").decode().split("\r\n")[1:] == [
        "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: x:80",
    ]  # fmt: skip
    for told, trail, proto, host in (
        ("", "192.0.2.1", "http", "x"),
        ("X-Forwarded-For: 10.0.0.9\r\n", "10.0.0.9, 192.0.2.1", "http", "x"),
        ("X-Forwarded-Proto: https\r\nX-Forwarded-Host: y\r\n", "192.0.2.1", "https", "y"),
    ):
        request = parse_request_head(f"GET / HTTP/1.1\r\nHost: x\r\n{told}\r\n".encode(), Limits())
        assert continued_fields(request, b"192.0.2.1").decode().split("\r\n")[1:] == [
            f"X-Forwarded-For: {trail}", f"X-Forwarded-Proto: {proto}", f"X-Forwarded-Host: {host}",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "to_gateway", "passed"),
    [
        ("GET /a HTTP/1.1\r\nHost: x\r\nA: 1\r\n\r\n", False, "GET /b HTTP/1.1\r\nHost: x\r\nA: 1"),
        (
            "GET http://y/a HTTP/1.1\r\nHost: x\r\nA: 1\r\n\r\n",
            False,
            "GET /b HTTP/1.1\r\nHost: y\r\nA: 1",
        ),
        (
            "GET /a HTTP/1.1\r\nHost: x\r\nConnection: A\r\nA: 1\r\nB: 2\r\n\r\n",
            False,
            "GET /b HTTP/1.1\r\nHost: x\r\nB: 2",
        ),
        (
            "GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            False,
            "GET /b HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket",
        ),
        (
            "GET /a HTTP/1.1\r\nHost: x\r\nX-Gateway-Hops: 2\r\n\r\n",
            True,
            "GET /b HTTP/1.1\r\nHost: x\r\nX-Gateway-Hops: 3",
        ),
        ("GET /a HTTP/1.0\r\nA: 1\r\n\r\n", False, "GET /b HTTP/1.1\r\nHost: app.demo:80\r\nA: 1"),
        ("GET /a HTTP/1.1\r\nHost:\r\nA: 1\r\n\r\n", False, "GET /b HTTP/1.1\r\nHost: app.demo:80\r\nA: 1"),
    ],
)
def test_a_request_goes_on_without_what_was_for_this_hop(sent: str, to_gateway: bool, passed: str) -> None:
    request = parse_request_head(sent.encode(), Limits())
    assert request_start(request, b"/b", b"app.demo:80", to_gateway=to_gateway).decode() == passed


def test_a_client_that_named_no_host_is_said_to_have_named_none() -> None:
    assert forwarded_fields(b"192.0.2.1", b"").decode().split("\r\n")[1:] == [
        "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: http",
    ]  # fmt: skip
    request = parse_request_head(b"GET / HTTP/1.0\r\nX-Forwarded-For: 10.0.0.9\r\n\r\n", Limits())
    assert b"x-forwarded-host" not in continued_fields(request, b"192.0.2.1").lower()


def test_a_mark_is_not_passed_on_as_it_came() -> None:
    assert (
        passed_on("HTTP/1.1 404 No\r\nX-Gateway-Passed: 1\r\nA: 1\r\n\r\n")
        == "HTTP/1.1 404 No\r\nA: 1\r\n\r\n"
    )


def passed_on(raw: str, **how: bool) -> str:
    response = parse_response_head(raw.encode(), Limits())
    changed = response_head(response, trusted=how.pop("trusted", False), **how)
    return (changed or response.head).decode()


def test_an_answer_goes_on_unchanged_where_that_is_possible() -> None:
    whole = "HTTP/1.1 200 Fine\r\nA: 1\r\n\r\n"
    assert passed_on(whole) == whole
    assert passed_on("HTTP/1.0 200 Fine\r\nA: 1\r\n\r\n") == whole
    assert passed_on("HTTP/1.1 200 Fine\r\nKeep-Alive: 5\r\nA: 1\r\n\r\n") == whole


def test_an_answer_goes_on_without_what_its_connection_field_names() -> None:
    raw = "HTTP/1.1 200 Fine\r\nConnection: X-Own\r\nx-own: 2\r\nA: 1\r\nX-Own: 3\r\n\r\n"
    assert passed_on(raw) == "HTTP/1.1 200 Fine\r\nA: 1\r\n\r\n"


def test_a_request_tells_every_endpoint_it_was_brought_to() -> None:
    before = served_mark("c1", "demo/app").decode()
    sent = f"GET / HTTP/1.1\r\nHost: x\r\nX-Gateway-Served: {before}\r\n\r\n"
    request, mark = parse_request_head(sent.encode(), Limits()), served_mark("c2", "demo/app")
    to_app = request_start(request, b"/", b"app.demo:80", to_gateway=False, mark=mark).decode()
    assert to_app.endswith(f"\r\nX-Gateway-Served: {before} {mark.decode()}")
    to_gateway = request_start(request, b"/", b"app.demo:80", to_gateway=True).decode()
    assert f"\r\nX-Gateway-Served: {before}\r\n" in f"{to_gateway}\r\n"


@pytest.mark.parametrize("more", [b"x", b"\r\n"])
def test_a_whole_head_has_nothing_behind_it(more: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_request_head(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + more, Limits())
    with pytest.raises(ProtocolError):
        parse_response_head(b"HTTP/1.1 200 OK\r\n\r\n" + more, Limits())


def test_an_answer_gets_what_its_client_needs() -> None:
    raw = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nKeep-Alive: 5\r\n\r\n"
    assert passed_on(raw, decode=True, close=True) == "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    raw = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    kept = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n"
    assert passed_on(raw, keep_for_1_0=True) == kept
    raw = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert passed_on(raw) == raw


def test_only_a_gateway_may_say_that_no_application_saw_the_request() -> None:
    raw = "HTTP/1.1 503 No\r\nX-Gateway-Refused: no-endpoint\r\n\r\n"
    assert passed_on(raw, trusted=True) == raw
    assert passed_on(raw) == "HTTP/1.1 503 No\r\n\r\n"


def test_a_request_ends_where_it_was_brought_to_an_endpoint_before() -> None:
    marks = [served_mark("region/zone/group/one", f"shop/service-{number}") for number in range(9)]
    request = parse_request_head(
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Gateway-Served: " + marks[0] + b", junk\r\n\r\n", Limits()
    )
    assert request.served == (marks[0],)
    check_loop(request, marks[1])
    with pytest.raises(ProtocolError, match="leads to a gateway") as found:
        check_loop(request, marks[0])
    assert found.value.status == 508
    request.served = tuple(marks[:8])
    with pytest.raises(ProtocolError, match="leads to a gateway"):
        check_loop(request, marks[8])
