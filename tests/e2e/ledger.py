"""Runs in a pod: a server that writes down each POST it executes on standard output; it names its cluster."""

from __future__ import annotations

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORK_SECONDS = 0.03


class Ledger(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        entry = self.rfile.read(int(self.headers["Content-Length"])).decode()
        sys.stdout.write(f"executed {entry}\n")  # whole, beside the other threads
        sys.stdout.flush()
        time.sleep(WORK_SECONDS)
        self._answer(f"entry {entry}, from cluster: {sys.argv[1]}")

    def do_GET(self) -> None:
        self._answer(f"ready, from cluster: {sys.argv[1]}")

    def _answer(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


ThreadingHTTPServer(("0.0.0.0", 3000), Ledger).serve_forever()
