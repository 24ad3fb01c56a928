"""The twins that read heads: whatever the native one accepts, the reference reads alike.

The bytes are a head, and the fields of one that is good otherwise.
"""

from __future__ import annotations

from proxy.native import native

from gateway.core.errors import ProtocolError
from gateway.core.scan import RequestScan, ResponseScan, reference_request, reference_response

TARGET_BYTES, HEAD_FIELDS = 100, 12
LINES = (b"GET / HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.0\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200\r\n")


def scans(data: bytes) -> None:
    """As it stands, and behind each of the good lines."""
    compare(data)
    for line in LINES:
        compare(line + data + b"\r\n\r\n")


def compare(head: bytes) -> tuple[bool, bool]:
    """Whether the native twin took it for a request, and for an answer."""
    of_requests, of_answers = native()
    request, answer = of_requests(head, TARGET_BYTES, HEAD_FIELDS), of_answers(head, HEAD_FIELDS)
    if request is not None:
        assert request == _request(head), head
    if answer is not None:
        assert answer == _answer(head), head
    return request is not None, answer is not None


def _request(head: bytes) -> RequestScan | str:
    try:
        return reference_request(head, TARGET_BYTES, HEAD_FIELDS)
    except ProtocolError as error:
        return f"refused: {error}"


def _answer(head: bytes) -> ResponseScan | str:
    try:
        return reference_response(head, HEAD_FIELDS)
    except ProtocolError as error:
        return f"refused: {error}"
