"""The twins that read heads give the same answers, and the native one reads what is usual."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from fuzz.scans import LINES, compare
from hypothesis import given, settings
from hypothesis import strategies as st
from proxy.native import NoCompilerError, native
from proxy.smuggled import SMUGGLED

from bench.traffic import FIELD_SETS, shapes
from gateway.core import scan
from gateway.core.errors import ProtocolError
from gateway.core.scan import is_native, reference_request, reference_response, scan_request, scan_response

try:
    native()
except NoCompilerError as error:
    pytest.skip(f"no native twin: {error}", allow_module_level=True)

USUAL = [
    shape.text().format(path="/service-0", trace="a" * 32, id="b" * 16).encode()
    for sender in FIELD_SETS
    for shape in shapes(sender)
] + [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"PROPFIND /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
    b"POST /a HTTP/1.1\r\nhost:[::1]:80\r\nTRANSFER-encoding: Chunked \r\nConnection: close\r\n\r\n",
    b"POST /a?b=%20 HTTP/1.1\r\nHost: \t a:1\t\r\nContent-Length:  7 \r\nExpect: 100-continue\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    (
        b"GET /a HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1\r\nx-forwarded-for: 2\r\nX_Forwarded_For: 3\r\n"
        b"Forwarded: for=1\r\nX-Forwarded-Prefix: /p\r\nX-Real-IP: 1\r\nX_Original-URL: /\r\n\r\n"
    ),
    b"GET /a HTTP/1.1\r\nHost:\r\nX-Gateway-Hops: 1\r\nX-Gateway-Service: s\r\nX-Gateway-Served: a\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\nCookie: c=d\r\nIdempotency-Key: \xe9\r\n\r\n",
    b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n",
]
UNUSUAL = [
    b"GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: a\r\nX-Request-Id: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n" + b"TE: a\r\nB: c\r\n" * 70 + b"\r\n",
]
"""Valid, and left to the reference."""
ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
    b"HTTP/1.1 204\r\n\r\n",
    b"HTTP/1.0 200 caf\xe9\r\nConnection: keep-alive\r\nServer: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nKeep-Alive: 5\r\nDate: x\r\nconnection: Close\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\nX-Gateway-Refused: no-route\r\nX-Gateway-Passed: 1\r\n\r\n",
]


@pytest.mark.parametrize("head", USUAL)
def test_usual_requests_are_read_natively_and_alike(head: bytes) -> None:
    found = native()[0](head, 8192, 8192, 128)
    assert found is not None
    assert found == reference_request(head, 8192, 128)


@pytest.mark.parametrize("head", ANSWERS)
def test_usual_answers_are_read_natively_and_alike(head: bytes) -> None:
    found = native()[1](head, 8192, 128)
    assert found is not None
    assert found == reference_response(head, 128)
    assert b"".join([b"HTTP/1.1", head[8:]]) == found[5] or found[5].count(b"\r\n") < head.count(b"\r\n")


@pytest.mark.parametrize("head", UNUSUAL)
def test_the_reference_reads_what_the_native_twin_leaves_to_it(
    monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    use_native(monkeypatch)
    assert native()[0](head, 8192, 8192, 256) is None
    assert scan_request(head, 8192, 8192, 256) == reference_request(head, 8192, 256)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nConnection: a\r\nConnection: b\r\n\r\n"])
def test_so_it_does_with_answers(monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    use_native(monkeypatch)
    assert native()[1](head, 8192, 128) is None
    assert scan_response(head, 8192, 128) == reference_response(head, 128)


def use_native(monkeypatch: pytest.MonkeyPatch) -> None:
    of_requests, of_answers = native()
    monkeypatch.setattr(scan, "native_request", of_requests)
    monkeypatch.setattr(scan, "native_response", of_answers)


def test_the_twin_that_is_there_is_asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    use_native(monkeypatch)
    assert is_native()
    assert method_of(USUAL[0]) == b"GET"
    assert status_of(ANSWERS[0]) == 200
    monkeypatch.setattr(scan, "native_request", None)
    monkeypatch.setattr(scan, "native_response", None)
    assert not is_native()
    assert method_of(USUAL[0]) == b"GET"
    assert status_of(ANSWERS[0]) == 200


def test_bounds_are_the_same() -> None:
    of_requests, of_answers = native()
    head = b"GET /1234567 HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n"
    size = len(head)
    assert of_requests(head, size, 8, 2) == reference_request(head, 8, 2)
    for bounds in ((7, 2), (8, 1)):
        assert of_requests(head, size, *bounds) is None
        with pytest.raises(ProtocolError):
            reference_request(head, *bounds)
    assert of_requests(head, size - 1, 8, 2) is None
    assert of_answers(ANSWERS[0], len(ANSWERS[0]), 1) == reference_response(ANSWERS[0], 1)
    assert of_answers(ANSWERS[0], len(ANSWERS[0]) - 1, 1) is None
    assert of_answers(ANSWERS[0], len(ANSWERS[0]), 0) is None


@pytest.mark.parametrize("native_twin", [True, False])
@pytest.mark.parametrize("behind", [b"", b"body", b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"])
def test_a_head_ends_at_its_blank_line_and_not_before(
    monkeypatch: pytest.MonkeyPatch, behind: bytes, native_twin: bool
) -> None:
    use_native(monkeypatch)
    if not native_twin:
        monkeypatch.setattr(scan, "native_request", None)
        monkeypatch.setattr(scan, "native_response", None)
    for head in USUAL:
        found = scan_request(head + behind, 8192, 8192, 128)
        assert found == reference_request(head, 8192, 128)
        assert found[0] == len(head)
        assert all(scan_request(head[:some], 8192, 8192, 128) is None for some in range(0, len(head), 7))
    for head in ANSWERS:
        answer = scan_response(head + behind, 8192, 128)
        assert answer is not None
        assert answer[0] == len(head)
        assert answer[5] == reference_response(head, 128)[5] + behind
        assert all(scan_response(head[:some], 8192, 128) is None for some in range(len(head)))


def method_of(head: bytes) -> bytes:
    found = scan_request(head, 8192, 8192, 128)
    assert found is not None
    return found[1]


def status_of(head: bytes) -> int:
    found = scan_response(head, 8192, 128)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("smuggled", SMUGGLED)
def test_nothing_that_two_parsers_read_differently_is_taken(smuggled: bytes) -> None:
    compare(smuggled.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    compare(smuggled)


@pytest.mark.parametrize("head", [*USUAL[:3], *USUAL[-11:], *ANSWERS])
def test_each_byte_at_each_place_is_read_alike(head: bytes) -> None:
    """Replaced by each byte that some class of bytes ends or begins at, doubled and left out."""
    for changed in changes(head[:220] + (head[-4:] if len(head) > 220 else b"")):
        compare(changed)


def changes(head: bytes) -> Iterator[bytes]:
    marks = b'\0\t\n\r \x1f"#/:[]_-@`\x7f\x80\xff0gG.'
    for at, mark in itertools.product(range(len(head)), marks):
        yield head[:at] + bytes([mark]) + head[at + 1 :]
    for at in range(len(head) + 1):
        yield head[:at] + head[at + 1 :]
        yield head[:at] + head[at : at + 1] + head[at:]
        yield head[:at]


@pytest.mark.parametrize("byte", range(256))
def test_each_byte_is_of_the_same_class_everywhere(byte: int) -> None:
    one = bytes([byte])
    for head in (
        b"G%bT / HTTP/1.1\r\nHost: a\r\n\r\n" % one,
        b"GET /a%bb HTTP/1.1\r\nHost: a\r\n\r\n" % one,
        b"GET / HTTP/1.1\r\nHost: a%bb\r\n\r\n" % one,
        b"GET / HTTP/1.1\r\nHost: [a%b]\r\n\r\n" % one,
        b"GET / HTTP/1.1\r\nHost: a:%b\r\n\r\n" % one,
        b"GET / HTTP/1.1\r\nHost: a\r\nA%bB: c\r\n\r\n" % one,
        b"GET / HTTP/1.1\r\nHost: a\r\nA: b%bc\r\n\r\n" % one,
        b"GET / HTTP/1.1\r\nHost: a\r\nX%bReal-IP: b\r\n\r\n" % one,
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded%bB: b\r\n\r\n" % one,
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1%b\r\n\r\n" % one,
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked%b\r\n\r\n" % one,
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close%b\r\n\r\n" % one,
        b"HTTP/1.1 200%bOK\r\n\r\n" % one,
        b"HTTP/1.%b 200 OK\r\n\r\n" % one,
    ):
        compare(head)


FIELD = st.tuples(
    st.sampled_from([*scan.NAMED, *scan.OTHER_NAMES, *scan.OTHER_PREFIXES, *scan.NAMED_IN_ANSWERS, b"a"]),
    st.sampled_from([b":", b": ", b":\t", b" :", b""]),
    st.sampled_from([b"", b"a", b"1", b"chunked", b"close", b"keep-alive, x", b"100-continue", b" b \t"]),
    st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n "]),
    st.sampled_from([bytes, bytes.upper, bytes.title, lambda name: name.replace(b"-", b"_")]),
)


@settings(max_examples=400)
@given(st.sampled_from(LINES), st.lists(FIELD, max_size=7))
def test_any_fields_are_read_alike(
    line: bytes, fields: list[tuple[bytes, bytes, bytes, bytes, type]]
) -> None:
    compare(
        line
        + b"".join(change(name) + colon + value + end for name, colon, value, end, change in fields)
        + b"\r\n"
    )


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_alike(noise: bytes) -> None:
    compare(noise)
    for line in LINES:
        compare(line + noise + b"\r\n\r\n")
