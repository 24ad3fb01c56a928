"""Answers the gateway makes itself."""

from __future__ import annotations

REASONS = {
    400: b"Bad Request", 403: b"Forbidden", 404: b"Not Found", 405: b"Method Not Allowed",
    408: b"Request Timeout", 413: b"Content Too Large", 414: b"URI Too Long", 417: b"Expectation Failed",
    421: b"Misdirected Request", 431: b"Request Header Fields Too Large", 500: b"Internal Server Error",
    502: b"Bad Gateway", 503: b"Service Unavailable", 504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported", 508: b"Loop Detected",
}  # fmt: skip

HEALTH_CHECK_ANSWER = b"HTTP/1.1 204 No Content\r\nX-Gateway-Probe: ok\r\nX-Gateway-Passed: 1\r\n\r\n"
"""To another gateway's health check: a request like this would reach an application, and `DOUBTFUL` answers
of applications are marked."""

PASSED_FIELD = b"\r\nX-Gateway-Passed: 1"
"""Marks, for a gateway in front, an application's own answer, and this gateway's own where an application may
have seen the request: neither is somebody else's."""

UNANSWERED = "no-answer"
"""Why a request failed that an application may have seen and gave no answer to."""
UNANSWERED_MARK = UNANSWERED.encode("ascii")
UNANSWERED_FIELD = b"\r\nX-Gateway-Passed: " + UNANSWERED_MARK
"""The same mark on this gateway's own answer to such a request: one in front may send it elsewhere if that
does no harm. Gateways that do not know the value take it for the plain mark."""

DOUBTFUL = frozenset((404, 502, 503, 504))
"""What a load balancer, or whoever has got the address meanwhile, answers in place of a gateway that is gone.
From another gateway these count as an application's answer only when they are marked."""

NOT_FOUND_TEXT = "Service Not Found"
"""Body of 404, word for word what the article's mesh answers."""

SHORT_TEXT = "this gateway is short of memory"

H2_REFUSAL = (
    b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"  # our SETTINGS, required first
    b"\x00\x00\x22\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0d"  # GOAWAY, HTTP_1_1_REQUIRED
    b"HTTP/1.1 only on this port"
)
"""To a client that opens with the HTTP/2 preface: said in its own language, so that its error names the
cause."""


def make_answer(
    status: int, text: str, *, refused: str = "", to_gateway: bool = False, unanswered: bool = False,
    close: bool = False, head_only: bool = False, minor: int = 1,
) -> bytes:  # fmt: skip
    """A complete plain-text answer.

    `refused`: short reason that no application has seen the request, which lets a gateway in front try
    elsewhere. `to_gateway`: the request came through one, which is told that this answer is a gateway's, and
    whether an application left the request `unanswered`.
    """
    body = text.encode() + b"\n"
    extra = b""
    if status == 404:
        body = body[:-1]  # the article's body has no line end
    if refused:
        extra += b"\r\nX-Gateway-Refused: " + refused.encode("ascii")
    elif to_gateway:
        extra += UNANSWERED_FIELD if unanswered else PASSED_FIELD
    if status == 405:
        extra += b"\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    if status == 503:
        extra += b"\r\nRetry-After: 1"
    if close:
        extra += b"\r\nConnection: close"
    elif minor == 0:
        extra += b"\r\nConnection: keep-alive"
    return b"HTTP/1.1 %d %b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d%b\r\n\r\n%b" % (
        status, REASONS[status], len(body), extra, b"" if head_only else body,
    )  # fmt: skip
