"""Requests that two parsers may read differently: each is refused before an application sees a byte of it.

All ask for `/app` of Host `x`. What a careless parser takes for a request of its own has `smuggled` in it.
"""

from __future__ import annotations

INNER = b"GET /app/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
EMPTY = b"0\r\n\r\n" + INNER


def post(*fields: bytes, body: bytes = EMPTY) -> bytes:
    return b"\r\n".join([b"POST /app HTTP/1.1", b"Host: x", *fields]) + b"\r\n\r\n" + body


CHUNKED = b"Transfer-Encoding: chunked"

SMUGGLED = [
    # Both framings, or one twice.
    post(b"Content-Length: 6", CHUNKED),
    post(CHUNKED, b"Content-Length: 6"),
    post(CHUNKED, b"Transfer-Encoding: x"),
    post(CHUNKED, CHUNKED),
    post(b"Content-Length: 1", b"Content-Length: 2", body=b"ab"),
    post(b"Content-Length: 5", b"Content-Length: 5", body=b"abcde"),
    post(b"Content-Length: 1, 2", body=b"ab"),
    # A framing that some do not see, or see as another.
    post(b"Transfer-Encoding : chunked"),
    post(b" Transfer-Encoding: chunked"),
    post(b"X: y\nTransfer-Encoding: chunked"),
    post(b"X: y\rTransfer-Encoding: chunked"),
    post(b"X: y\r\n Transfer-Encoding: chunked"),
    post(b"Transfer-Encoding:\x0bchunked"),
    post(b"Transfer-Encoding: chunked\x00"),
    post(b"Transfer-Encoding: xchunked"),
    post(b'Transfer-Encoding: "chunked"'),
    post(b"Transfer-Encoding: chunked, identity"),
    post(b"Transfer-Encoding: identity, chunked"),
    post(b"Transfer-Encoding: chunked;q=1"),
    post(b"Transfer-Encoding: gzip, chunked"),
    post(b"Transfer-Encoding:"),
    post(b"Connection: transfer-encoding", CHUNKED),
    post(b"Connection: close, content-length", b"Content-Length: 5", body=b"abcde"),
    # Lengths that are no number everywhere.
    post(b"Content-Length: +5", body=b"abcde"),
    post(b"Content-Length: -1"),
    post(b"Content-Length: 0x5", body=b"abcde"),
    post(b"Content-Length: 5 5", body=b"abcde"),
    post(b"Content-Length: 1_0", body=b"a" * 10),
    post(b"Content-Length: 99999999999999999999", body=b""),
    post(b"Content-Length: \xb2", body=b"ab"),
    post(b"Content-Length: "),
    post(b"Content-Length:5\x0b", body=b"abcde"),
    # Lines and names.
    post(b" Content-Length: 5", body=b"GET /"),
    post(b"Host: y"),
    post(b"Host : y"),
    post(b"A: \x00"),
    post(b"A\x00B: c"),
    post(b"A B: c"),
    post(b": c"),
    b"GET /app HTTP/1.1\nHost: x\n\n",
    b"GET /app HTTP/1.1\r\nHost: x\n\r\n",
    b"GET  /app HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /app\tHTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /app HTTP/1.1 \r\nHost: x\r\n\r\n",
    b"GET /app#a HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /app HTTP/1.1\r\nHost: x/app\r\n\r\n",
    b"GET /app HTTP/1.1\r\n\r\n",
    b"GET http://x@y/app HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET app HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /app HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + EMPTY,
]
