"""Gateway and application never disagree about where a request ends, however its bytes arrive.

A client connection, an upstream connection and the exchange between them run on fake transports and a fake
loop, fed with streams glued together from good, odd and hostile pieces.
"""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from proxy.fakes import Harness


def run(stream: bytes, cuts: list[int]) -> tuple[list[bytes], list[bytes]]:
    harness = Harness()
    at = 0
    for cut in cuts:
        harness.feed(stream[at : at + cut])
        at += cut
    if at < len(stream):
        harness.feed(stream[at:])
    return harness.result()


PIECES = st.sampled_from([
    b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /",
    b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nGET \r\n0\r\n\r\n",
    b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n0\r\nT: 1\r\n\r\n",
    b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: y\r\nT: 1\r\n\r\n",
    b"POST /d HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /e HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"GET /f HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nX: GET / HTTP/1.1\r\n\r\n",
    b"GET /g HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET /h HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"HEAD /i HTTP/1.1\r\nHost: x\r\nX-Gateway-Probe: 1\r\n\r\n",
    b"\r\n", b"\n", b"0\r\n\r\n", b"5\r\nabcde\r\n", b"GET ", b"\x00", b"Host: y\r\n",
])  # fmt: skip


@given(st.lists(PIECES, max_size=8).map(b"".join), st.lists(st.integers(1, 40), max_size=40))
@example(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n" * 20, [7] * 80)
@example(b"\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n", [1])
def test_arrival_changes_neither_what_the_application_sees_nor_what_the_client_is_told(
    stream: bytes, cuts: list[int]
) -> None:
    whole = run(stream, [])
    assert run(stream, cuts) == whole
    assert run(stream, [1] * len(stream)) == whole


@given(st.lists(st.binary(max_size=30) | PIECES, max_size=8).map(b"".join))
def test_what_the_application_sees_is_what_was_asked(stream: bytes) -> None:
    """Every request passed on is framed once, and the client gets one answer for each before any refusal."""
    requests, statuses = run(stream, [])
    for request in requests:
        head = request.partition(b"\r\n\r\n")[0].lower()
        assert head.count(b"\r\ncontent-length:") + head.count(b"\r\ntransfer-encoding:") <= 1
        assert head.count(b"\r\nhost:") == 1
    assert statuses.count(b"200") == len(requests)
    assert all(status in {b"200", b"204"} for status in statuses[:-1]), "a refusal is the last word"
