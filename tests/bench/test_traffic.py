"""Real traffic: valid requests, as many fields as the senders have, and no head twice."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from bench.proxy import REAL, SAME
from bench.traffic import FIELD_SETS, Shape, mixed, shapes, unlike
from gateway.core.limits import Limits
from gateway.core.request import parse_request_head


def filled(shape: Shape, number: int = 1) -> bytes:
    """A request as the script makes it."""
    return shape.text().format(path="/service-0", trace=f"{number:032x}", id=f"{number:016x}").encode()


@pytest.mark.parametrize("sender", FIELD_SETS)
def test_a_senders_requests_are_valid_and_carry_a_trace_context(sender: str) -> None:
    for shape in shapes(sender):
        head = parse_request_head(filled(shape), Limits())
        assert head.host == b"shop.example.com"
        assert head.length == shape.body
        assert head.request_id == b"%032x" % 1
        assert re.search(rb"\r\nTraceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-01", head.fields)
        assert filled(shape, 2) != filled(shape)


def test_senders_take_turns() -> None:
    turn = mixed(["sidecar", "browser"])
    assert [shape.fields for shape in turn[:2]] == [FIELD_SETS["sidecar"], FIELD_SETS["browser"]]
    assert len(turn) == 20


def test_headline_cases_send_real_traffic_and_the_others_say_so() -> None:
    assert all(case.senders and "real traffic" in case.what for case in REAL)
    assert all(not case.senders and case.what.startswith("the same head") for case in SAME)


def test_the_script_makes_each_request_another_one(tmp_path: Path) -> None:
    """As wrk runs it, where it is installed."""
    text = unlike(mixed(list(FIELD_SETS)), ["/service-0", "/service-1"])
    assert text != unlike(mixed(list(FIELD_SETS)), ["/service-0", "/service-1"]), "in another run others"
    wrk = shutil.which("wrk")
    if wrk is None:
        pytest.skip("no wrk on PATH")
    (tmp_path / "load.lua").write_text(text)
    with Listening() as server:
        argv = [wrk, "-t1", "-c1", "-d1s", "-s", "load.lua", f"http://127.0.0.1:{server.port}"]
        said = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert re.search(r"^  99\.9%  \d+\.\d+us$", said, re.MULTILINE)
    assert len(server.heads) >= 60
    assert len(set(server.heads)) == len(server.heads)
    assert {parse_request_head(head, Limits()).length for head in server.heads} == {0, 1024}
    assert {head.split(b"/")[1] for head in server.heads} == {b"service-0", b"service-1"}


class Listening:
    """An application that keeps the heads it is sent over one connection."""

    def __enter__(self) -> Self:
        self.heads: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(5)
        self._listener.close()

    def _serve(self) -> None:
        """Until the client closes its last connection; wrk makes one more before, to see who listens."""
        probe, _ = self._listener.accept()
        probe.close()
        connection, _ = self._listener.accept()
        buffer = b""
        with connection, suppress(ConnectionError):  # wrk breaks off its last request
            while data := connection.recv(65536):
                buffer += data
                head, end, rest = buffer.partition(b"\r\n\r\n")
                length = 1024 if b"Content-Length: 1024" in head else 0
                if end and len(rest) >= length:
                    self.heads.append(head + end)
                    buffer = rest[length:]
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
