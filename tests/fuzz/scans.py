"""The twins that read heads: whatever the native one accepts, the reference reads alike.

The bytes are a head, perhaps with more behind it, and the fields of one that is good otherwise.
"""

from __future__ import annotations

from proxy.native import native

from gateway.core.errors import ProtocolError
from gateway.core.heads import head_end
from gateway.core.scan import RequestScan, ResponseScan, reference_request, reference_response

HEAD_BYTES, TARGET_BYTES, HEAD_FIELDS = 2000, 100, 12
LINES = (b"GET / HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.0\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200\r\n")


def scans(data: bytes) -> None:
    """As it stands, and behind each of the good lines."""
    compare(data)
    for line in LINES:
        compare(line + data + b"\r\n\r\n")
        compare(line + b"\r\n" + data)


def compare(data: bytes) -> tuple[bool, bool]:
    """Whether the native twin took it for a request, and for an answer."""
    of_requests, of_answers = native()
    request = of_requests(data, HEAD_BYTES, TARGET_BYTES, HEAD_FIELDS)
    answer = of_answers(data, HEAD_BYTES, HEAD_FIELDS)
    if request is not None:
        assert request == _request(data), data
    if answer is not None:
        assert answer == _answer(data), data
    return request is not None, answer is not None


def _request(data: bytes) -> RequestScan | str:
    try:
        end = head_end(data, HEAD_BYTES)
        return reference_request(data[:end], TARGET_BYTES, HEAD_FIELDS)
    except ProtocolError as error:
        return f"refused: {error}"


def _answer(data: bytes) -> ResponseScan | str:
    try:
        end = head_end(data, HEAD_BYTES)
        size, status, minor, length, keep, onward, others = reference_response(data[:end], HEAD_FIELDS)
    except ProtocolError as error:
        return f"refused: {error}"
    return size, status, minor, length, keep, onward + data[end:], others
