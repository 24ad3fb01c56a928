"""What was captured, put together: plain HTTP is not taken for TLS, nor is what came out of order lost."""

from __future__ import annotations

import pytest
from e2e.capture import WRAP, Stream, is_tls, streams
from e2e.sniffer import tcp_segment

STREAM: Stream = ("172.24.0.3", 40000, "172.24.0.2", 30443)
HELLO = b"\x16\x03\x01\x00\x04abcd"
DATA = b"\x17\x03\x03\x00\x03xyz"


@pytest.mark.parametrize(
    "data", [b"", HELLO, HELLO + DATA, DATA, (HELLO + DATA)[:-2], HELLO + b"\x17", HELLO + b"\x17\x03"]
)
def test_records_are_tls_the_last_of_them_cut_off_or_not(data: bytes) -> None:
    assert is_tls(data)


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", HELLO + b"GET /", b"\x17\x02\x03\x00\x01x", DATA + b"\x18\x03\x03"]
)
def test_anything_else_is_not(data: bytes) -> None:
    assert not is_tls(data)


def test_segments_are_joined_in_their_order_once_and_up_to_a_gap() -> None:
    found = streams([
        (STREAM, 100, b"one"), (STREAM, 106, b"three"), (STREAM, 103, b"two"), (STREAM, 100, b"one"),
        (STREAM, 90, b"before"), (STREAM, 200, b"after a gap"),
    ])  # fmt: skip
    assert found == {STREAM: b"onetwothree"}
    assert streams([(STREAM, WRAP - 2, b"ab"), (STREAM, 0, b"cd")]) == {STREAM: b"abcd"}


def test_a_packet_is_read_by_its_lengths() -> None:
    payload = b"payload"
    tcp = b"\x9c\x40\x76\xeb" + (7).to_bytes(4, "big") + bytes(4) + b"\x60" + bytes(7) + b"opts" + payload
    ip = b"\x45\x00" + (20 + len(tcp)).to_bytes(2, "big") + bytes(5) + b"\x06" + bytes(2)
    packet = ip + bytes([172, 24, 0, 3]) + bytes([172, 24, 0, 2]) + tcp
    assert tcp_segment(packet + b"what the link added") == (*STREAM, 7, payload)
    assert tcp_segment(packet[:9] + b"\x11" + packet[10:]) is None, "UDP"
