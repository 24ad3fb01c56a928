"""The access log: whole lines of JSON, whatever a client sends, and never in the way."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from gateway.core.identity import BY_NAME, PeersKeys
from gateway.core.limits import Limits
from gateway.core.request import parse_request_head
from gateway.edge.accesslog import AccessLog, quoted


def written(log: AccessLog, read: int, write: int) -> list[dict[str, Any]]:
    """What a log on a pipe has written when it is closed."""
    log.close()
    os.close(write)
    with os.fdopen(read) as file:
        return [json.loads(line) for line in file]


def test_each_line_is_an_object_with_the_time_first() -> None:
    read, write = os.pipe()
    log = AccessLog(write)
    log.write(f'"target":{quoted(chr(34) + chr(92) + chr(0) + chr(233))}')
    log.write_record({"status": 400, "detail": 'a "word"'})
    first, second = written(log, read, write)
    assert list(first) == ["time", "target"]
    assert first["target"] == '"\\\0é', "what a client sends cannot end the string it stands in"
    assert first["time"].endswith("Z")
    assert len(first["time"]) == len("2026-01-01T00:00:00.000Z")
    assert second == {"time": second["time"], "status": 400, "detail": 'a "word"'}


def test_lines_nobody_reads_are_dropped_and_counted() -> None:
    read, write = os.pipe()
    log = AccessLog(write, max_queued=-1)
    for _ in range(3):
        log.write('"a":1')
    log.flush()
    assert log.dropped == 3
    assert written(log, read, write) == []


@pytest.mark.parametrize("seconds", [0.0, 0.000001, 0.0123456, 0.999999, 1.0, 59.5, 3601.000042])
def test_seconds_are_told_to_the_microsecond(seconds: float) -> None:
    read, write = os.pipe()
    log = AccessLog(write)
    head = parse_request_head(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", Limits())
    log.write_exchange('"client":"x"', head, None, None, "no-route", 0, 404, seconds, 0, 9, b"id")
    log.close()
    os.close(write)
    with os.fdopen(read) as file:
        text = file.read().partition('"seconds":')[2].partition(",")[0]
    assert abs(float(text) - seconds) <= 1e-6
    assert len(text.partition(".")[2]) == 6


def test_lines_for_a_full_disk_count_as_dropped() -> None:
    with Path("/dev/full").open("wb") as full:
        log = AccessLog(full.fileno())
        log.write('"a":1')
        log.close()
    assert log.dropped == 1


def test_lines_of_a_reader_that_is_gone_count_as_dropped() -> None:
    read, write = os.pipe()
    os.close(read)
    log = AccessLog(write)
    log.write('"a":1')
    log.close()
    os.close(write)
    assert log.dropped == 1


async def test_a_reader_that_does_not_read_delays_nobody_and_loses_nothing_when_it_does(
    net: Any, make: Any, ok: Any
) -> None:
    read, write = os.pipe()
    room = fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    log = AccessLog(write)
    app = await net.app(lambda _head, body: ok(body))
    port, _, server = await net.gateway(
        make.service(), make.slice("127.0.0.1", port=app), make.export(), access_log=log
    )
    reader, writer = await net.connect(port)
    for number in range(100):
        writer.write(f"GET /app/{number} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (await net.answer(reader))[0] == 200, "a full pipe holds up the log only"
        if number == 20:
            log.flush()
    assert log.dropped == 0
    lines: list[bytes] = []
    with os.fdopen(read, "rb") as file:
        late = threading.Thread(target=lambda: lines.extend(file))
        late.start()
        await server.drain(1.0)
        os.close(write)
        late.join()
    assert sum(map(len, lines)) > room, "the log would have fitted into the pipe unread"
    assert [json.loads(line)["target"] for line in lines] == [f"/app/{number}" for number in range(100)]


async def test_each_line_has_the_host_of_its_own_request_and_long_ones_are_not_kept(
    net: Any, make: Any, ok: Any
) -> None:
    read, write = os.pipe()
    app = await net.app(lambda _head, body: ok(body))
    objects = make.service(), make.slice("127.0.0.1", port=app), make.export()
    port, _, server = await net.gateway(*objects, access_log=AccessLog(write))
    hosts = ["one.example", "one.example", "two.example:80", "", "one.example", "l" * 5000, "one.example"]
    for host in hosts:
        reader, writer = await net.connect(port)
        writer.write(f"GET /app/x HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert (await net.answer(reader))[0] == 200
        writer.close()
    route = server.registry.snapshot.paths.find(b"/app/x")
    assert len(server.registry.state(route).logged) < 200
    await server.drain(1.0)
    os.close(write)
    with os.fdopen(read) as file:
        lines = [json.loads(line) for line in file]
    assert [(line["host"], line["service"]) for line in lines] == [(host, "demo/app") for host in hosts]


async def test_a_request_is_logged_with_the_cluster_chosen_and_why(net: Any, make: Any, ok: Any) -> None:
    read, write = os.pipe()
    app = await net.app(lambda _head, body: ok(body))
    objects = make.service(), make.slice("127.0.0.1", port=app), make.export()
    port, _, server = await net.gateway(*objects, access_log=AccessLog(write))
    await net.ask(port, '/app/"?api_key=s3cret', method="POST", body=b"abc", fields='X-Request-Id: mine"\r\n')
    await net.ask(port, "/nowhere")
    await net.talk(port, b"no request\r\n\r\n")
    await server.drain(1.0)
    os.close(write)
    with os.fdopen(read) as file:
        served, lost, refused = (json.loads(line) for line in file)
    assert {name: served[name] for name in ("listener", "client", "method", "host", "target", "status")} == {
        "listener": "north-south", "client": "127.0.0.1", "method": "POST", "host": "x",
        "target": '/app/"', "status": 200,
    }  # fmt: skip
    assert (served["cluster"], served["endpoint"]) == (make.key("here"), f"127.0.0.1:{app}")
    assert (served["service"], served["policy"], served["reason"]) == ("demo/app", "Locality", "local")
    assert (served["bytes_in"], served["attempts"], served["request_id"]) == (3, 1, 'mine"')
    assert "s3cret" not in str(served)
    assert 0 < served["seconds"] < 30
    assert (lost["status"], lost["reason"], lost["service"], lost["cluster"]) == (404, "no-route", None, None)
    assert (refused["status"], refused["reason"]) == (400, "malformed")


async def test_queries_are_logged_where_that_is_asked_for(net: Any, make: Any, ok: Any) -> None:
    read, write = os.pipe()
    app = await net.app(lambda _head, body: ok(body))
    objects = make.service(), make.slice("127.0.0.1", port=app), make.export()
    port, _, server = await net.gateway(*objects, access_log=AccessLog(write, query=True))
    await net.ask(port, "/app?page=2")
    await server.drain(1.0)
    os.close(write)
    with os.fdopen(read) as file:
        assert [json.loads(line)["target"] for line in file] == ["/app?page=2"]


async def test_gateways_that_have_the_key_ask_without_a_line(net: Any, make: Any, ok: Any) -> None:
    read, write = os.pipe()
    peers = PeersKeys((b"k" * 32,))
    app = await net.app(lambda _head, body: ok(body))
    objects = make.service(), make.slice("127.0.0.1", port=app), make.export()
    port, _, server = await net.gateway(*objects, cluster="c1", access_log=AccessLog(write), peers=peers)
    mine = peers.sign(make.key("c1"), "demo/app", 3000, BY_NAME).decode()
    for value, status in ((mine, 204), (mine[:-1] + "x", 421)):
        fields = f"X-Gateway-Probe: 1\r\nX-Gateway-Service: {value}\r\n"
        assert (await net.ask(port, "/", fields=fields))[0] == status
    await server.drain(1.0)
    os.close(write)
    with os.fdopen(read) as file:
        assert [(one["status"], one["reason"]) for one in map(json.loads, file)] == [(421, "health-check")]


async def test_whoever_asks_what_is_served_here_is_logged(net: Any, make: Any, ok: Any) -> None:
    """Other gateways' health checks can be sent by anybody, and are answered only where gateways ask."""
    read, write = os.pipe()
    app = await net.app(lambda head, _body: ok(head.partition(b"\r\n")[0]))
    objects = make.service(), make.slice("127.0.0.1", port=app), make.export()
    port, east_west, server = await net.gateway(*objects, access_log=AccessLog(write))
    check = "X-Gateway-Probe: 1\r\n"
    assert (await net.ask(port, "/app?secret=1", fields=check))[0] == 204
    assert (await net.ask(port, "/guess", fields=check))[0] == 404
    assert await net.ask(east_west, "/app", host="app.demo:3000", fields=check) == (
        200, ok(b"GET /app HTTP/1.1")[:-17], b"GET /app HTTP/1.1",
    )  # fmt: skip
    await server.drain(1.0)
    os.close(write)
    with os.fdopen(read) as file:
        found = [json.loads(line) for line in file]
    assert [(one["status"], one["reason"], one["target"]) for one in found] == [
        (204, "health-check", "/app"), (404, "health-check", "/guess"), (200, "local", "/app"),
    ]  # fmt: skip


async def test_who_was_accepted_a_moment_before_a_drain_is_served_and_logged(
    net: Any, make: Any, ok: Any
) -> None:
    """The loop accepts a connection, and hands it to the gateway a turn later: the drain comes between."""
    read, write = os.pipe()
    app = await net.app(lambda _head, _body: ok(b"done"))
    objects = make.service(), make.slice("127.0.0.1", port=app), make.export()
    port, _, server = await net.gateway(*objects, access_log=AccessLog(write))
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(b"GET /app HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.sleep(0)
    assert not server.downstreams.open
    await server.drain(1.0)
    with client:
        assert (await asyncio.to_thread(client.recv, 65536))[:15] == b"HTTP/1.1 200 OK"
    os.close(write)
    with os.fdopen(read) as file:
        assert [json.loads(line)["status"] for line in file] == [200]


async def test_what_a_drain_cuts_off_is_logged(net: Any, make: Any) -> None:
    started = asyncio.Event()

    async def never(_head: bytes, _body: bytes) -> bytes:
        started.set()
        await asyncio.Event().wait()
        return b""

    read, write = os.pipe()
    app = await net.app(never)
    objects = make.service(), make.slice("127.0.0.1", port=app), make.export()
    port, _, server = await net.gateway(*objects, access_log=AccessLog(write))
    _, writer = await net.connect(port)
    writer.write(b"GET /app HTTP/1.1\r\nHost: x\r\n\r\n")
    await started.wait()
    await server.drain(0.05)
    os.close(write)
    with os.fdopen(read) as file:
        assert [json.loads(line)["status"] for line in file] == [499]
