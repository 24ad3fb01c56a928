"""HTTP/1.1 on real sockets: what a client and an application may do, the gateway carries."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

import pytest

from gateway.core.affinity import tag
from gateway.core.identity import PeersKeys
from gateway.core.limits import REUSE_BODY_BYTES
from gateway.edge.upstream import REUSE_SECONDS

ECHO = 1024 * 1024


def echo(ok: Any) -> Any:
    return lambda head, body: ok(body or head)


async def exported(net: Any, make: Any, app: int, **options: Any) -> int:
    """North-south port of a gateway that exports the application on `/app`, rewritten to `/`."""
    limits = {**options}
    port, _, _ = await net.gateway(
        make.service(),
        make.slice("127.0.0.1", port=app),
        make.export(pathRewrite={"from": "^/app/?", "to": "/"}),
        **limits,
    )
    return int(port)


async def test_a_request_reaches_the_application_rewritten_and_annotated(
    net: Any, make: Any, ok: Any
) -> None:
    port = await exported(net, make, await net.app(echo(ok)))
    status, _, body = await net.ask(port, "/app/ports?x=1", host="shop.example:8080")
    assert status == 200
    lines = body.decode().split("\r\n")
    assert lines[0] == "GET /ports?x=1 HTTP/1.1"
    assert "Host: shop.example:8080" in lines
    assert "X-Forwarded-For: 127.0.0.1" in lines
    assert "X-Forwarded-Proto: http" in lines
    assert "X-Forwarded-Host: shop.example:8080" in lines
    assert any(line.startswith("X-Request-Id: ") for line in lines)


async def test_forwarding_fields_of_a_trusted_proxy_are_kept_and_continued(
    net: Any, make: Any, ok: Any
) -> None:
    port = await exported(net, make, await net.app(echo(ok)), trusted=("10.0.0.1", "127.0.0.0/8"))
    fields = (
        "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Request-Id: mine\r\n"
        "traceparent: 00-a-b-01\r\n"
    )
    _, _, body = await net.ask(port, "/app", host="x", fields=fields)
    lines = body.decode().split("\r\n")
    assert "X-Forwarded-For: 1.2.3.4, 127.0.0.1" in lines
    assert "X-Forwarded-Proto: https" in lines
    assert [line for line in lines if line.lower().startswith("x-request-id")] == ["X-Request-Id: mine"]
    assert "traceparent: 00-a-b-01" in lines


async def test_forwarding_fields_of_anybody_else_are_replaced(net: Any, make: Any, ok: Any) -> None:
    port = await exported(net, make, await net.app(echo(ok)), trusted=("10.0.0.0/8",))
    fields = (
        "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: bank.example\r\n"
        "X-Gateway-Hops: 1\r\n"
    )
    _, _, body = await net.ask(port, "/app", host="x", fields=fields)
    told = sorted(line for line in body.decode().split("\r\n") if line.startswith("X-Forwarded"))
    assert told == ["X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: x", "X-Forwarded-Proto: http"]


async def test_fields_of_one_hop_stay_on_it(net: Any, make: Any, ok: Any) -> None:
    def reply(head: bytes, body: bytes) -> bytes:
        return ok(
            head, b"Connection: keep-alive, X-Local\r\nKeep-Alive: timeout=5\r\nX-Local: 1\r\nX-Kept: 1\r\n"
        )

    port = await exported(net, make, await net.app(reply))
    fields = (
        "Connection: keep-alive, X-Secret\r\nX-Secret: 1\r\nTE: trailers\r\n"
        "Keep-Alive: 3\r\nProxy-Connection: x\r\n"
    )
    _, head, body = await net.ask(port, "/app", fields=fields + "X-Kept: 1\r\n")
    for name in (b"connection:", b"x-secret", b"te:", b"keep-alive:"):
        assert b"\r\n" + name not in body.lower()
    assert b"\r\nX-Kept: 1" in body
    assert b"X-Kept: 1" in head
    for name in (b"connection:", b"keep-alive:", b"x-local:"):
        assert b"\r\n" + name not in head.lower()


async def test_no_route_is_said_as_the_article_has_it(net: Any, make: Any) -> None:
    port = await exported(net, make, 1)
    reader, writer = await net.connect(port)
    for _ in range(2):
        writer.write(b"GET /ports HTTP/1.1\r\nHost: x\r\n\r\n")
        status, _, body = await net.answer(reader)
        assert (status, body) == (404, b"Service Not Found"), "and the connection stays usable"


async def test_a_service_without_ready_endpoints_is_not_there(net: Any, make: Any) -> None:
    port, _, _ = await net.gateway(make.service(), make.export())
    assert (await net.ask(port, "/app"))[::2] == (404, b"Service Not Found")


async def test_pipelined_requests_are_answered_in_order(net: Any, make: Any, ok: Any) -> None:
    async def reply(head: bytes, body: bytes) -> bytes:
        if head.startswith(b"GET /0"):
            await asyncio.sleep(0.05)
        return bytes(ok(head.split(b" ")[1] + body))

    port = await exported(net, make, await net.app(reply))
    reader, writer = await net.connect(port)
    requests = b"".join(
        b"POST /app/%d HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n%03d" % (n, n)
        if n % 2
        else b"GET /app/%d HTTP/1.1\r\nHost: x\r\n\r\n" % n
        for n in range(200)
    )
    writer.write(requests)
    for n in range(200):
        _, _, body = await net.answer(reader)
        assert body == (b"/%d%03d" % (n, n) if n % 2 else b"/%d" % n)


async def test_requests_may_arrive_byte_by_byte(net: Any, make: Any, ok: Any) -> None:
    port = await exported(net, make, await net.app(echo(ok)))
    reader, writer = await net.connect(port)
    data = (
        b"POST /app HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"
    )
    for at in range(len(data) * 2):
        writer.write((data + data)[at : at + 1])
        await asyncio.sleep(0)
    assert (await net.answer(reader))[2] == b"abc"
    assert (await net.answer(reader))[2] == b"abc"


async def test_answers_may_arrive_byte_by_byte(net: Any, make: Any) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\n\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.001)

    port = await exported(net, make, await net.server(handle))
    assert (await net.ask(port, "/app"))[::2] == (200, b"abc")


@pytest.mark.parametrize("size", [0, 1, 65_536, 2 * ECHO])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_bodies_of_any_size_pass_unchanged_both_ways(
    net: Any, make: Any, size: int, chunked: bool
) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    def frame(data: bytes) -> bytes:
        if not chunked:
            return b"Content-Length: %d\r\n\r\n" % len(data) + data
        parts = b"".join(
            b"%x\r\n%b\r\n" % (len(p), p) for p in (data[i : i + 9999] for i in range(0, len(data), 9999))
        )
        return b"Transfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n"

    port = await exported(net, make, await net.app(lambda _head, body: b"HTTP/1.1 200 OK\r\n" + frame(body)))
    reader, writer = await net.connect(port)
    for _ in range(2):
        writer.write(b"POST /app HTTP/1.1\r\nHost: x\r\n" + frame(content))
        status, _, body = await net.answer(reader)
        assert (status, body == content) == (200, True)


async def test_head_204_and_304_have_no_body_whatever_their_fields_say(net: Any, make: Any) -> None:
    def reply(head: bytes, body: bytes) -> bytes:
        status = {b"HEAD": b"200 OK", b"GET": b"304 Not Modified", b"DELETE": b"204 No Content"}[
            head.split(b" ")[0]
        ]
        length = b"" if status.startswith(b"204") else b"Content-Length: 999\r\n"
        return b"HTTP/1.1 " + status + b"\r\n" + length + b"\r\n"

    port = await exported(net, make, await net.app(reply))
    reader, writer = await net.connect(port)
    for method, status in (("HEAD", 200), ("GET", 304), ("DELETE", 204), ("HEAD", 200)):
        writer.write(f"{method} /app HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        async with asyncio.timeout(2):
            head = await reader.readuntil(b"\r\n\r\n")
        assert int(head.split(b" ")[1]) == status


async def test_expect_continue_is_the_applications_to_answer(net: Any, make: Any, ok: Any) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"\r\nExpect: 100-continue" in head
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        writer.write(ok(await reader.readexactly(3)))

    port = await exported(net, make, await net.server(handle))
    reader, writer = await net.connect(port)
    writer.write(b"PUT /app HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
    assert (await net.answer(reader))[0] == 100
    writer.write(b"abc")
    assert (await net.answer(reader))[::2] == (200, b"abc")


async def test_early_hints_pass_and_an_early_final_answer_closes(net: Any, make: Any) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()
        await reader.read()

    port = await exported(net, make, await net.server(handle))
    reader, writer = await net.connect(port)
    writer.write(b"PUT /app HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc")
    assert (await net.answer(reader))[0] == 103
    status, head, body = await net.answer(reader)
    assert (status, body) == (413, b"no")
    assert b"\r\nConnection: close\r\n" in head
    assert await reader.read() == b""


async def test_websockets_pass_through_with_half_close(net: Any, make: Any) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" in head
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello"
        )
        while data := await reader.read(1000):
            writer.write(data.upper())
        writer.write(b"bye")

    port = await exported(net, make, await net.server(handle))
    reader, writer = await net.connect(port)
    writer.write(b"GET /app HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    status, head, _ = await net.answer(reader)
    assert status == 101
    assert b"\r\nUpgrade: websocket\r\n" in head
    assert await reader.readexactly(5) == b"hello"
    writer.write(b"abc")
    assert await reader.readexactly(3) == b"ABC"
    writer.write(b"x" * 1_000_000)
    assert await reader.readexactly(1_000_000) == b"X" * 1_000_000
    writer.write_eof()
    assert await reader.read() == b"bye"


async def test_a_refused_upgrade_is_an_ordinary_answer(net: Any, make: Any, ok: Any) -> None:
    port = await exported(net, make, await net.app(echo(ok)))
    reader, writer = await net.connect(port)
    for _ in range(2):
        writer.write(b"GET /app HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert (await net.answer(reader))[0] == 200


async def test_absolute_form_counts_before_host(net: Any, make: Any, ok: Any) -> None:
    port = await exported(net, make, await net.app(echo(ok)))
    _, _, body = await net.ask(port, "http://real.example:81/app/q?z", host="other.example")
    assert body.startswith(b"GET /q?z HTTP/1.1\r\n")
    assert b"\r\nHost: real.example:81\r\n" in body
    assert b"other.example" not in body


async def test_old_clients_get_what_they_can_read(net: Any, make: Any) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    port = await exported(net, make, await net.app(lambda _head, _body: chunked))
    answer = await net.talk(port, b"GET /app HTTP/1.0\r\n\r\n")
    assert answer.endswith(b"\r\n\r\nabcde")
    assert b"chunked" not in answer


async def test_an_old_client_may_keep_its_connection(net: Any, make: Any, ok: Any) -> None:
    port = await exported(net, make, await net.app(lambda _head, _body: ok()))
    reader, writer = await net.connect(port)
    for _ in range(2):
        writer.write(b"GET /app HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        status, head, _ = await net.answer(reader)
        assert status == 200
        assert b"\r\nConnection: keep-alive\r\n" in head


async def test_an_answer_that_ends_with_its_connection_is_passed_whole(net: Any, make: Any) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + b"z" * 300_000)
        await writer.drain()

    port = await exported(net, make, await net.server(handle))
    answer = await net.talk(port, b"GET /app HTTP/1.1\r\nHost: x\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Connection: close" in head
    assert body == b"z" * 300_000


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_application_learns_at_once_that_a_client_has_left(
    net: Any, make: Any, method: str
) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()
        left.set()

    port = await exported(net, make, await net.server(handle))
    _, writer = await net.connect(port)
    writer.write(f"{method} /app HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    async with asyncio.timeout(5):
        await asked.wait()
        writer.write_eof()  # what closing looks like from here: a client has no other end
        await left.wait()


async def test_http2_is_refused_in_its_own_words(net: Any, make: Any) -> None:
    port = await exported(net, make, 1)
    answer = await net.talk(port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert answer.startswith(b"\x00\x00\x00\x04")
    assert answer.endswith(b"HTTP/1.1 only on this port")


class Counting:
    """An application that counts the connections on which it was asked, and answers until they are closed."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.opened = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Its port may be one that a process of another test still knocks at: that one asks for nothing.
        with suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            self.opened += 1
            while True:
                writer.write(self.answer)
                await reader.readuntil(b"\r\n\r\n")


async def test_connections_to_the_application_are_reused(net: Any, make: Any, ok: Any) -> None:
    app = Counting(ok())
    port = await exported(net, make, await net.server(app))
    for _ in range(10):
        assert (await net.ask(port, "/app"))[0] == 200
    assert app.opened == 1


async def test_what_cannot_be_sent_twice_takes_no_connection_that_was_idle_while_the_gateway_stood_still(
    net: Any, make: Any, ok: Any
) -> None:
    app = Counting(ok())
    port = await exported(net, make, await net.server(app))
    assert (await net.ask(port, "/app", method="POST"))[0] == 200
    assert (await net.ask(port, "/app", method="POST"))[0] == 200
    assert app.opened == 1, "it has been idle for a moment only"
    time.sleep(REUSE_SECONDS + 0.1)  # noqa: ASYNC251 - as a machine that has no time for it
    assert (await net.ask(port, "/app", method="POST"))[0] == 200
    assert app.opened == 2, "its application may be closing it by now"
    assert net.gateways[0].registry.runtime.meter.upstreams == 2, "the old one for others, and the new one"


@pytest.mark.parametrize(("size", "connections"), [(REUSE_BODY_BYTES, 1), (REUSE_BODY_BYTES + 1, 2)])
async def test_nothing_is_sent_to_an_application_that_may_still_have_a_body_to_drop(
    net: Any, make: Any, ok: Any, size: int, connections: int
) -> None:
    app = Counting(ok())

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers by the head alone, and closes only when it finds more of a body than it drops."""
        app.opened += 1
        with suppress(asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(0.1)  # until all of the body is in the kernel's buffers
                writer.write(app.answer)
                length = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
                await reader.readexactly(min(length, 65536))
                if length > REUSE_BODY_BYTES:
                    await asyncio.sleep(0.1)
                    return

    port = await exported(net, make, await net.server(early))
    for body in (b"x" * size, b"y"):
        status, _, _ = await net.ask(port, "/app", method="POST", body=body)
        assert status == 200
    assert app.opened == connections


async def test_an_import_reaches_the_gateway_of_its_exporter(net: Any, make: Any, ok: Any) -> None:
    app = await net.app(echo(ok))
    remote = await exported(net, make, app, trusted=("127.0.0.1",))
    _, east_west, _ = await net.gateway(make.imported(c1=remote), make.policy("ActiveActive"))
    _, _, body = await net.ask(east_west, "/ports", host="app.demo:3000")
    assert body.startswith(b"GET /ports HTTP/1.1\r\nHost: app.demo:3000\r\n")
    assert b"X-Forwarded-For: 127.0.0.1, 127.0.0.1" in body


async def test_a_policy_that_lets_nothing_out_refuses_clearly(net: Any, make: Any) -> None:
    _, east_west, _ = await net.gateway(make.imported(c1=1), make.policy("Locality"))
    status, _, body = await net.ask(east_west, "/", host="app.demo:3000")
    assert status == 503
    assert b"Locality" in body


async def test_a_sticky_export_keeps_a_session_on_its_pod(net: Any, make: Any, ok: Any) -> None:
    first, second = [await net.app(lambda _head, _body, n=n: ok(n)) for n in (b"1", b"2")]
    objects = make.service(), make.slice("127.0.0.1", port=first), make.slice("127.0.0.1", port=second)
    objects[2]["metadata"]["name"] = "other"
    port, _, _ = await net.gateway(*objects, make.export(sessionSticky=True))
    _, head, body = await net.ask(port, "/app")
    cookie = head.split(b"Set-Cookie: ")[1].split(b";")[0].decode()
    for _ in range(6):
        _, head, again = await net.ask(port, "/app", fields=f"Cookie: a=b; {cookie}; c=d\r\n")
        assert again == body
        assert b"Set-Cookie" not in head


@pytest.mark.parametrize("peers", [PeersKeys(), PeersKeys((b"k" * 32, b"l" * 32))], ids=["no key", "a key"])
async def test_a_session_holds_across_clusters(net: Any, make: Any, ok: Any, peers: PeersKeys) -> None:
    gateways = {}
    for cluster in ("c1", "c3"):
        app = await net.app(lambda _head, _body, name=cluster: ok(name.encode()))
        objects = make.service(), make.slice("127.0.0.1", port=app), make.export(sessionSticky=True)
        gateways[cluster], _, _ = await net.gateway(*objects, cluster=cluster, peers=peers)
    _, port, _ = await net.gateway(make.imported(**gateways), make.policy("ActiveActive"), peers=peers)
    _, head, body = await net.ask(port, host="app.demo:3000")
    cookie = head.split(b"Set-Cookie: ")[1].split(b";")[0].decode()
    assert (tag(make.key(body.decode())) in cookie) == (not peers.keys)
    seen = {(await net.ask(port, host="app.demo:3000", fields=f"Cookie: {cookie}\r\n"))[2] for _ in range(6)}
    assert seen == {body}
