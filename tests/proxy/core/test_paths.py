"""Spellings of paths, and what is only told of a request by its fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import ProtocolError
from gateway.core.forward import continued_fields, request_start
from gateway.core.limits import Limits
from gateway.core.paths import escape, is_reachable, normalise, resolve
from gateway.core.request import RequestHead, parse_request_head
from gateway.core.response import parse_response_head


def request(target: bytes, fields: bytes = b"") -> RequestHead:
    return parse_request_head(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n", Limits())


@pytest.mark.parametrize(
    ("path", "spelling"),
    [
        (b"/a", b"/a"),
        (b"/%7euser", b"/~user"),
        (b"/caf%c3%a9", b"/caf%C3%A9"),
        ("/café".encode(), b"/caf%C3%A9"),
        (b"/%41%2f%20", b"/A%2F%20"),
        (b"/100%", b"/100%"),
        (b"/%zz%4", b"/%zz%4"),
        (b"/%252e", b"/%252e"),
    ],
)
def test_a_path_has_one_spelling(path: bytes, spelling: bytes) -> None:
    assert normalise(path) == spelling
    assert normalise(spelling) == spelling


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        (b"/a/../b", b"/b"),
        (b"/a/./b", b"/a/b"),
        (b"/.", b"/"),
        (b"/a/..", b"/"),
        (b"/a/b/..", b"/a/"),
        (b"/../../etc", b"/etc"),
        (b"/a//../b", b"/a/b"),
        (b"/.a/..b/c.", b"/.a/..b/c."),
        (b"/a%2Fb", b"/a%2Fb"),
        (b"/a%2F.b", b"/a%2F.b"),
    ],
)
def test_dot_segments_are_resolved(path: bytes, resolved: bytes) -> None:
    assert resolve(path) == resolved


@pytest.mark.parametrize(
    "path", [b"/a/..%2Fb", b"/a%2F../b", b"/a/..%5Cb", b"/a\\..", b"/.%2Fb", b"/a/b%2F."]
)
def test_dot_segments_beside_a_hidden_slash_are_refused(path: bytes) -> None:
    with pytest.raises(ProtocolError, match="dot segments beside"):
        resolve(path)
    assert not is_reachable(path)


@pytest.mark.parametrize(
    "path", [b"/a/..;/b", b"/a/..;x=1", b"/.;/a", b"/a/%2e%2e;/b", b"/a/..%3b/b", b"/a%2F..;/b"]
)
def test_dot_segments_with_parameters_are_refused(path: bytes) -> None:
    """Servlet containers cut parameters off, then climb."""
    with pytest.raises(ProtocolError, match="dot segments"):
        resolve(normalise(path))
    assert not is_reachable(path)
    assert resolve(b"/a;x=1/b;.") == b"/a;x=1/b;."


@given(st.lists(st.sampled_from([b"a", b".", b"..", b"", b"%2e", b"%2E.", b"~", b"%7E", b"%c3"]), max_size=8))
def test_what_is_spelled_and_resolved_stays_so_and_climbs_nowhere(segments: list[bytes]) -> None:
    found = resolve(normalise(b"/" + b"/".join(segments)))
    assert resolve(normalise(found)) == found
    assert found.startswith(b"/")
    assert not {b".", b".."} & set(found.split(b"/"))


def test_only_the_query_of_most_targets_has_escapes_and_they_stay() -> None:
    head = request(b"/a?q=%2e%2e/../%zz")
    assert (head.target, head.path) == (b"/a?q=%2e%2e/../%zz", b"/a")


def test_a_target_goes_on_as_it_came_unless_nobody_may_send_it_so() -> None:
    assert request(b"/caf%c3%a9?x").target == b"/caf%c3%a9?x"
    assert request("/café?é".encode()).target == b"/caf%C3%A9?%C3%A9"
    assert request(b"/%61/../b?x=%61").target == b"/b?x=%61"
    assert escape(b"a\xff") == b"a%FF"


def test_forwarding_fields_of_other_names_go_on_for_a_named_proxy_alone() -> None:
    head = request(b"/", b"X-Forwarded-Prefix: /p\r\nForwarded: for=1\r\nAccept: */*\r\n")
    assert request_start(head, b"/", b"", to_gateway=False) == b"GET / HTTP/1.1\r\nHost: x\r\nAccept: */*"
    told = continued_fields(head, b"10.0.0.1")
    assert told.endswith(b"\r\nx-forwarded-prefix: /p\r\nforwarded: for=1")


@pytest.mark.parametrize(
    "name",
    [
        "X_Forwarded_For", "X-Forwarded_Host", "x_forwarded_prefix", "X_Real_IP", "X_Original-URL",
        "Client_IP", "CF-Connecting_IP", "X_Cluster-Client-IP", "X_Scheme", "x_http-host-override", "Proxy",
    ],
)  # fmt: skip
def test_fields_that_cgi_takes_for_forwarding_fields_go_on_for_nobody(name: str) -> None:
    head = request(b"/", name.encode() + b": evil\r\nAccept: */*\r\n")
    assert request_start(head, b"/", b"", to_gateway=False) == b"GET / HTTP/1.1\r\nHost: x\r\nAccept: */*"
    assert b"evil" not in continued_fields(head, b"10.0.0.1")


@pytest.mark.parametrize("name", ["X-Hostname", "Proxy-Authorization", "X-Proxy", "Client-IPs", "X-Schemes"])
def test_fields_that_are_only_called_alike_go_on(name: str) -> None:
    head = request(b"/", name.encode() + b": 1\r\n")
    assert head.forwarded is None
    assert name.encode() in request_start(head, b"/", b"", to_gateway=False)


def test_the_first_of_several_request_identifiers_is_kept() -> None:
    fields = b"X-Request-Id: a\r\nAccept: */*\r\nx-request-id: b\r\nX-REQUEST-ID: c\r\n"
    head = request(b"/", fields)
    assert head.request_id == b"a"
    assert head.kept == b"\r\nHost: x\r\nX-Request-Id: a\r\nAccept: */*"
    assert head.by_name() == {b"host": b"x", b"x-request-id": b"a", b"accept": b"*/*"}
    several = request(b"/", b"X-Forwarded-For: 1\r\nX-Forwarded-For: 2\r\n")
    assert several.forwarded is not None
    assert several.forwarded[0] == b"1, 2"


@pytest.mark.parametrize("status", [b"101", b"204", b"304"])
def test_framing_where_no_body_can_be_is_dropped_with_the_connection(status: bytes) -> None:
    raw = b"HTTP/1.1 " + status + b" x\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = parse_response_head(raw, Limits())
    assert b"transfer-encoding" not in answer.onward.lower()
    assert not answer.keep_alive
