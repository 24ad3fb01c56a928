"""Runs in a pod: a server that names its cluster, writes down each POST it executes on standard output, and
answers as servers do: with much, with nothing but a head, with a redirect, to a body in chunks.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORK_SECONDS = 0.03
BIG = 10 * 2**20
"""Bytes."""


class Ledger(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        if self.path == "/size":
            self._answer(str(sum(self._chunks())))
            return
        entry = self.rfile.read(int(self.headers["Content-Length"])).decode()
        sys.stdout.write(f"executed {entry}\n")  # whole, beside the other threads
        sys.stdout.flush()
        time.sleep(WORK_SECONDS)
        self._answer(f"entry {entry}, from cluster: {sys.argv[1]}")

    def do_GET(self) -> None:
        if self.path == "/big":
            self._answer("x" * BIG)
        elif self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/here")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path == "/trace":
            self._answer(str(self.headers["traceparent"]))
        else:
            self._answer(f"ready at {self.path}, from cluster: {sys.argv[1]}")

    do_HEAD = do_GET  # noqa: N815  the name that the base class looks for

    def _answer(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())

    def _chunks(self) -> Iterator[int]:
        """Sizes of the chunks of a request's body (RFC 9112 section 7.1); its end otherwise is an error."""
        if self.headers["Transfer-Encoding"] is None:
            yield len(self.rfile.read(int(self.headers["Content-Length"])))
            return
        while size := int(self.rfile.readline(), 16):
            yield len(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 256  # the library's 5 has the kernel drop the rest, and callers wait seconds


Server(("0.0.0.0", 3000), Ledger).serve_forever()
