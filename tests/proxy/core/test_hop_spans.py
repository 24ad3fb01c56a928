"""What spans of a hop say, by the semantic conventions for HTTP."""

from __future__ import annotations

import pytest

from gateway.core.hop_spans import (
    client_attributes,
    is_error,
    path_of,
    server_attributes,
    span_name,
)
from gateway.core.limits import Limits
from gateway.core.request import RequestHead, parse_request_head
from gateway.core.route import Endpoint, Route

ROUTE = Route("shop/checkout", 80, "Prefix /checkout", "FailOver")


def head(line: str = "GET /checkout/1?secret=2", host: str = "shop.example.com:8080") -> RequestHead:
    return parse_request_head(f"{line} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode(), Limits())


def server(request: RequestHead, route: Route | None = ROUTE, cluster: str = "c") -> dict[str, object]:
    reason = "fail-over" if route else ""
    request_id = b"id" if route else b""
    return dict(server_attributes(
        request, route, client="192.0.2.1", cluster=cluster, reason=reason, attempts=2, request_id=request_id
    ))  # fmt: skip


def test_a_server_span_says_what_was_asked_for_and_who_served_it() -> None:
    assert server(head()) == {
        "http.request.method": "GET",
        "network.protocol.version": "1.1",
        "server.address": "shop.example.com",
        "server.port": 8080,
        "url.scheme": "http",
        "url.path": "/checkout/1",
        "client.address": "192.0.2.1",
        "http.request.header.x-request-id": ["id"],
        "http.route": "/checkout",
        "multicluster.service": "shop/checkout",
        "multicluster.policy": "FailOver",
        "multicluster.cluster": "c",
        "multicluster.reason": "fail-over",
        "multicluster.attempts": 2,
    }


def test_what_there_is_not_is_not_said() -> None:
    found = server(head(), route=None, cluster="")
    assert not [key for key in found if key in {"http.route", "multicluster.cluster", "multicluster.reason"}]
    named = server(head(), Route("shop/checkout", 80, "checkout.shop:80", "FailOver"))
    assert "http.route" not in named
    assert (
        server(parse_request_head(b"GET / HTTP/1.0\r\n\r\n", Limits()))["network.protocol.version"] == "1.0"
    )


@pytest.mark.parametrize(
    ("host", "address", "port"),
    [
        ("a", "a", None), ("a:1", "a", 1), ("a:", "a", None), ("[2001:db8::1]", "2001:db8::1", None),
        ("[2001:db8::1]:8", "2001:db8::1", 8), ("", None, None),
    ],
)  # fmt: skip
def test_host_and_port_are_those_of_the_host_field(host: str, address: str | None, port: int | None) -> None:
    found = server(head(host=host))
    assert (found.get("server.address"), found.get("server.port")) == (address, port)


def test_a_client_span_says_which_endpoint_was_tried() -> None:
    endpoint = Endpoint("10.0.0.1", 3000)
    found = client_attributes(head(), b"/1?secret=2", endpoint, cluster="c", resent=0)
    assert found == {
        "http.request.method": "GET",
        "network.protocol.version": "1.1",
        "url.full": "http://10.0.0.1:3000/1",
        "server.address": "10.0.0.1",
        "server.port": 3000,
        "network.peer.address": "10.0.0.1",
        "network.peer.port": 3000,
        "multicluster.cluster": "c",
    }
    again = client_attributes(head(), b"*", Endpoint("2001:db8::1", 1, "c"), cluster="c", resent=1)
    assert (again["url.full"], again["http.request.resend_count"]) == ("https://[2001:db8::1]:1", 1)


def test_a_method_that_is_none_makes_up_no_name() -> None:
    odd = head("BREW /checkout")
    assert span_name(odd, "/checkout") == "HTTP /checkout"
    assert (span_name(head()), span_name(head(), "/checkout")) == ("GET", "GET /checkout")
    found = server(odd)
    assert (found["http.request.method"], found["http.request.method_original"]) == ("_OTHER", "BREW")


@pytest.mark.parametrize(
    ("where", "path"),
    [
        ("Prefix /a", "/a"),
        ("Exact /", "/"),
        ("Prefix shop.example.com/a", "/a"),
        ("Name shop/checkout:80", ""),
    ],
)
def test_the_route_is_the_path_of_a_rule(where: str, path: str) -> None:
    assert path_of(Route("a/b", 80, where, "")) == path


def test_what_a_server_refuses_is_an_error_of_its_caller() -> None:
    assert [is_error(status, "", client=False) for status in (200, 404, 500)] == [False, False, True]
    assert [is_error(status, "", client=True) for status in (200, 404, 500)] == [False, True, True]
    assert not is_error(404, "no-route", client=False)
    assert is_error(0, "client-gone", client=False)
    assert is_error(200, "answer-cut-off", client=False), "an answer that begins well and does not end"
