"""A client that calls at a fixed pace."""

from __future__ import annotations

import re
import socket
import time

import pytest

from bench.paced import AnswerError, call, counted_from, is_whole, paced, requests


def test_no_two_requests_are_alike() -> None:
    made = requests(100, "remote.bench", "/orders")
    assert len(set(made)) == 100
    for name, pattern in (
        (b"Traceparent", rb"00-[0-9a-f]{32}-[0-9a-f]{16}-01"),
        (b"X-Request-Id", rb"[0-9a-f]{32}"),
    ):
        found = [re.search(rb"\r\n" + name + rb": (" + pattern + rb")\r\n", one) for one in made]
        assert len({one[1] for one in found if one}) == 100, name


@pytest.mark.parametrize(
    ("answer", "whole"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", True),
    ],
)
def test_an_answer_ends_with_its_length_or_its_last_chunk(answer: bytes, whole: bool) -> None:
    assert is_whole(answer) is whole


def test_an_answer_without_a_length_is_an_error() -> None:
    with pytest.raises(AnswerError, match="without a length"):
        is_whole(b"HTTP/1.1 200 OK\r\n\r\n")


def test_a_call_that_was_held_up_counts_from_when_it_was_due() -> None:
    assert counted_from(due=1.0, free=1.5, sent=1.5) == 1.0
    assert counted_from(due=1.0, free=0.9, sent=1.1) == 1.1, "its own timer was late"


def test_one_slow_call_shows_in_those_it_holds_up() -> None:
    calls = [lambda: time.sleep(0.1), *[lambda: None] * 9]
    latencies = paced(calls, 50)
    assert latencies[0] >= 0.1
    assert all(latency >= 0.02 for latency in latencies[1:4]), "due 20, 40 and 60 ms after the slow one"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "not a 200: .*502"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", "closed after"),
    ],
)
def test_a_call_that_fails_is_no_measurement(answer: bytes, said: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(AnswerError, match=said):
            call(ours, b"GET / HTTP/1.1\r\n\r\n")
