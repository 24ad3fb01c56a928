"""Where bodies end, however their bytes arrive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.body import ChunkedBody, LengthBody, passed_on
from gateway.core.errors import ProtocolError

NEXT = b"GET /next HTTP/1.1\r\n"

CHUNKED = {
    "empty": (b"0\r\n\r\n", b""),
    "one": (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
    "two": (b"1\r\na\r\nB\r\n\r\n0123456\r\n\r\n0\r\n\r\n", b"a\r\n0123456\r\n"),
    "leading zeros": (b"0003\r\nabc\r\n000\r\n\r\n", b"abc"),
    "extension": (b'3;a="b"\r\nabc\r\n0;x\r\n\r\n', b"abc"),
    "trailer": (b"1\r\na\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n", b"a"),
}

BROKEN = {
    "no size": b"\r\n",
    "bad size": b"g\r\n",
    "sign": b"+1\r\na\r\n",
    "prefix": b"0x1\r\na\r\n",
    "space after size": b"1 \r\na\r\n",
    "bare LF after size": b"1\na\r\n0\r\n\r\n",
    "bare LF in extension": b"1;\n\r\na\r\n",
    "CR in extension": b"1;\rx\r\na\r\n",
    "chunk too long": b"1\r\nab\r\n0\r\n\r\n",
    "chunk ends with LF": b"1\r\na\n0\r\n\r\n",
    "huge size": b"1" * 16 + b"\r\n",
    "endless size line": b"1;" + b"x" * 300,
    "folded trailer": b"0\r\nX: 1\r\n 2\r\n\r\n",
    "trailer without colon": b"0\r\nnonsense\r\n\r\n",
    "endless trailer": b"0\r\n" + b"X: " + b"y" * 9000,
    "many trailers": b"0\r\n" + b"X: y\r\n" * 3000,
}


def end_of(body: ChunkedBody | LengthBody, data: bytes, step: int) -> int:
    """Index in `data` after the body, fed `step` bytes at a time."""
    for start in range(0, len(data), step):
        end = body.feed(data[start : start + step], 0)
        if end >= 0:
            return start + end
    return -1


@pytest.mark.parametrize("step", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize("name", CHUNKED)
def test_a_chunked_body_ends_where_it_ends(name: str, step: int) -> None:
    data, content = CHUNKED[name]
    body = ChunkedBody(decode=True)
    assert end_of(body, data + NEXT, step) == len(data)
    assert b"".join(body.payload or []) == content


@pytest.mark.parametrize("step", [1, 2, 1000])
@pytest.mark.parametrize("name", BROKEN)
def test_broken_chunks_are_refused(name: str, step: int) -> None:
    with pytest.raises(ProtocolError):
        end_of(ChunkedBody(), BROKEN[name] + NEXT * 20, step)


def test_a_chunked_body_is_refused_at_its_limit() -> None:
    with pytest.raises(ProtocolError) as caught:
        ChunkedBody(5).feed(b"3\r\nabc\r\n3\r\n", 0)
    assert caught.value.status == 413


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.lists(st.integers(1, 30), max_size=60))
def test_any_chunking_and_any_arrival_give_the_same_end(chunks: list[bytes], cuts: list[int]) -> None:
    data = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    stream = data + NEXT
    body = ChunkedBody(decode=True)
    at = 0
    for cut in [*cuts, len(stream)]:
        end = body.feed(stream[at : at + cut], 0)
        if end >= 0:
            assert at + end == len(data)
            assert b"".join(body.payload or []) == b"".join(chunks)
            return
        at += cut
    raise AssertionError("body did not end")


@given(st.binary(max_size=300), st.integers(1, 50))
def test_no_bytes_crash_the_scanner_and_pieces_agree_with_the_whole(noise: bytes, step: int) -> None:
    def result(size: int) -> int | str:
        try:
            return end_of(ChunkedBody(), noise, size)
        except ProtocolError:
            return "refused"

    whole, pieces = result(len(noise) or 1), result(step)
    # Early refusal may come sooner in one than in the other, but never an end where the other sees none.
    if isinstance(whole, int) and isinstance(pieces, int):
        assert whole == pieces
    else:
        assert -1 in {whole, pieces} or whole == pieces


FORBIDDEN = [
    "Content-Length: 5", "Content-Type: text/html", "Transfer-Encoding: chunked", "Host: evil", "Te: x",
    "Authorization: Bearer x", "set-cookie: a=b", "X-Forwarded-For: 1.2.3.4", "Dapr-Api-Token: s",
    "X-Gateway-Refused: x", "If-None-Match: *",
]  # fmt: skip


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("field", FORBIDDEN)
def test_a_forbidden_trailer_field_is_dropped_and_the_others_stay(field: str, step: int) -> None:
    start = b"1\r\na\r\n0\r\n"
    sent = start + f"X-Sum: 1\r\n{field}\r\nContent-Digest: y\r\n\r\n".encode()
    body = ChunkedBody()
    out = b""
    for at in range(0, len(sent + NEXT), step):
        piece = (sent + NEXT)[at : at + step]
        end = body.feed(piece, 0)
        out += passed_on(body, piece, 0, end)
        if end >= 0:
            assert at + end == len(sent)
            break
    assert out == start + b"X-Sum: 1\r\nContent-Digest: y\r\n\r\n"


def test_a_client_that_cannot_read_chunks_gets_the_data_alone() -> None:
    first, second = b"HEAD1\r\na\r\n2", b"\r\nbc\r\n0\r\nHost: x\r\n\r\n"
    body = ChunkedBody(decode=True)
    assert passed_on(body, first, 4, body.feed(first, 4)) == b"HEADa"
    assert passed_on(body, second, 0, body.feed(second, 0)) == b"bc"


def test_what_stands_before_a_changed_body_stays() -> None:
    data = b"HEAD" + b"0\r\nHost: x\r\n\r\n" + NEXT
    body = ChunkedBody()
    assert passed_on(body, data, 4, body.feed(data, 4)) == b"HEAD0\r\n\r\n"


@given(st.lists(st.sampled_from(["X-A: 1", "Host: x", "TE: y", "B: 2"]), max_size=6), st.integers(1, 40))
def test_pieces_of_a_trailer_are_forwarded_as_the_whole_is(fields: list[str], step: int) -> None:
    data = b"0\r\n" + "".join(f"{field}\r\n" for field in fields).encode() + b"\r\n"
    whole, body = ChunkedBody(), ChunkedBody()
    expected = passed_on(whole, data, 0, whole.feed(data, 0))
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    assert b"".join([passed_on(body, piece, 0, body.feed(piece, 0)) for piece in pieces]) == expected


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_a_counted_body_ends_at_its_length(step: int) -> None:
    assert end_of(LengthBody(7), b"1234567" + NEXT, step) == 7
