"""What every client asks every server, and what is kept of the answer."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Case:
    """One request. A client that cannot send it says so."""

    name: str
    path: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    size: int = -1
    """Bytes of the body; none for a request without one."""
    chunked: bool = False
    expect: bool = False
    """Wait for 100 (Continue) before the body."""
    follow: bool = False
    """Follow redirects."""
    twice: bool = False
    """Ask again on the same connection, if it is kept."""
    old: bool = False
    """HTTP/1.0."""
    seconds: float = 20.0
    """After which the client gives up."""

    def raw(self) -> dict[str, object]:
        return asdict(self)


HANG = Case("given up", "/hang", seconds=0.4)
"""Last, for the client leaves in the middle."""

CASES = (
    Case("GET", "/hello", twice=True),
    Case("GET, closing", "/hello", headers={"Connection": "close"}),
    Case("GET, a target of many kinds of characters", "/echo/a%2Fb;c=1,2/~x%C3%A9//y?q=a+b&r=%26&s="),
    Case("HEAD", "/hello", "HEAD", twice=True),
    Case("HEAD of a large answer", "/large", "HEAD"),
    Case("204", "/empty", twice=True),
    Case("304", "/same", headers={"If-None-Match": '"x"'}, twice=True),
    Case("redirect", "/moved"),
    Case("redirect, followed", "/moved", follow=True),
    Case("the application's own 503", "/broken"),
    Case("POST", "/echo", "POST", size=1000, twice=True),
    Case("POST of nothing", "/echo", "POST", size=0),
    Case("PUT, large", "/echo", "PUT", size=3 * MEGABYTE),
    Case("POST, chunked", "/echo", "POST", size=MEGABYTE // 2, chunked=True, twice=True),
    Case("POST, 100-continue", "/echo", "POST", size=2 * MEGABYTE, expect=True),
    Case("DELETE", "/echo", "DELETE"),
    Case("large answer", "/large"),
    Case("chunked answer", "/chunks", twice=True),
    Case("slow answer", "/slow"),
    Case("HTTP/1.0", "/hello", old=True),
    Case("HTTP/1.0, kept", "/hello", headers={"Connection": "keep-alive"}, old=True, twice=True),
    Case("HTTP/1.0, chunked answer", "/chunks", old=True),
    Case("refused early", "/refuse", "POST", size=8 * MEGABYTE),
    Case("refused early, chunked", "/refuse", "POST", size=8 * MEGABYTE, chunked=True),
    Case("refused early, 100-continue", "/refuse", "POST", size=8 * MEGABYTE, expect=True),
    HANG,
)

KEPT = ("content-type", "content-length", "location", "etag", "allow", "set-cookie", "x-app")
"""Fields of an answer that must arrive as they were sent."""
