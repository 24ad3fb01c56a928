"""What real clients and servers send, met in the field: each case stands for its kind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.core.errors import ProtocolError
from gateway.core.rewrite import Rewrite, RewriteError
from gateway.core.snapshot import compile_snapshot

HOST = "app.demo:3000"
HERE = "default/default/default/here"


async def exported(net: Any, make: Any, app: int, *, path: str = "/", **options: Any) -> int:
    """North-south port of a gateway that exports the application."""
    port, _, _ = await net.gateway(
        make.service(), make.slice("127.0.0.1", port=app), make.export(path=path), **options
    )
    return int(port)


def slow_after(seconds: float, ok: Any) -> Any:
    async def reply(head: bytes, _body: bytes) -> bytes:
        if b"/slow" in head:
            await asyncio.sleep(seconds)
        return bytes(ok())

    return reply


# Answers that do not come


async def test_a_slow_application_is_a_timeout_that_an_application_may_have_seen(
    net: Any, make: Any, ok: Any
) -> None:
    port = await exported(net, make, await net.app(slow_after(2, ok)), first_byte_seconds=0.3)
    status, head, _ = await net.ask(port, "/slow")
    assert status == 504
    assert b"X-Gateway-Refused" not in head, "a gateway in front may not take it for a request nobody saw"


async def test_a_connection_closed_without_an_answer_may_have_been_seen(net: Any, make: Any) -> None:
    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    status, head, _ = await net.ask(await exported(net, make, await net.server(close)))
    assert status == 502
    assert b"X-Gateway-Refused" not in head


async def test_one_slow_request_does_not_eject_a_cluster(net: Any, make: Any, ok: Any) -> None:
    names = []
    for _ in range(2):
        app = await net.app(slow_after(2, ok))
        names.append(await exported(net, make, app, path="/app", first_byte_seconds=0.3))
    one, two = names
    _, port, server = await net.gateway(
        make.imported(c1=one, c3=two), make.policy("ActiveActive", c1=50, c3=50)
    )
    for _ in range(2):
        assert (await net.ask(port, host=HOST))[0] == 200
    # From the first health check on, an answer without a mark counts as that of a stranger at its address.
    await net.until(lambda: all(health.marks for health in server.registry.health.values()))
    status, head, _ = await net.ask(port, "/slow", host=HOST)
    assert status == 504
    assert b"X-Gateway-Refused" not in head
    for _ in range(20):
        assert (await net.ask(port, host=HOST))[0] == 200
    answered = [
        int(line.rpartition(" ")[2])
        for line in (await server.metrics()).text.splitlines()
        if line.startswith("gateway_requests_total") and 'code="200"' in line
    ]
    assert answered == [11, 11]


# Sessions


async def test_sessions_of_two_services_at_one_address_keep_apart(net: Any, make: Any, ok: Any) -> None:
    objects = []
    for name in ("shop", "pay"):
        objects += [make.service(name), make.export(name, f"/{name}", sessionSticky=True)]
        for pod in range(3):
            port = await net.app(lambda _head, _body, pod=pod: ok(b"%d" % pod))
            one = make.slice("127.0.0.1", name=name, port=port)
            one["metadata"]["name"] += f"-{pod}"
            objects.append(one)
    port, _, _ = await net.gateway(*objects)
    jar: dict[str, str] = {}
    pods: dict[str, set[bytes]] = {"/shop": set(), "/pay": set()}
    for _ in range(8):
        for path, seen in pods.items():
            cookies = "; ".join(f"{name}={value}" for name, value in jar.items())
            _, head, body = await net.ask(port, path, fields=f"Cookie: {cookies}\r\n" if cookies else "")
            seen.add(body)
            if b"Set-Cookie: " in head:
                name, _, value = head.split(b"Set-Cookie: ")[1].split(b";")[0].decode().partition("=")
                jar[name] = value
    assert [len(seen) for seen in pods.values()] == [1, 1]


# Paths


@pytest.mark.parametrize(
    "target",
    [
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/.%2E/admin",
        "/public/x/../../admin",
        "/public/..",
        "/public/./../admin",
    ],
)
async def test_a_path_that_climbs_out_of_an_export_is_not_served(
    net: Any, make: Any, ok: Any, target: str
) -> None:
    port = await exported(net, make, await net.app(lambda head, _: ok(head)), path="/public")
    assert (await net.ask(port, target))[0] == 404


@pytest.mark.parametrize(
    "target", ["/public/..%2fadmin", "/public/..%5Cadmin", "/public%2F../admin", "/public/..\\admin"]
)
async def test_a_path_that_only_some_servers_climb_out_of_is_refused(
    net: Any, make: Any, ok: Any, target: str
) -> None:
    port = await exported(net, make, await net.app(lambda head, _: ok(head)), path="/public")
    assert (await net.ask(port, target))[0] in {400, 404}


async def test_dot_segments_inside_an_export_reach_the_application_resolved(
    net: Any, make: Any, ok: Any
) -> None:
    port = await exported(net, make, await net.app(lambda head, _: ok(head)), path="/public")
    _, _, body = await net.ask(port, "/public/a/../b/./c?d=/../e")
    assert body.startswith(b"GET /public/b/c?d=/../e HTTP/1.1\r\n")
    _, _, body = await net.ask(port, "/public/...a/.b/c..d")
    assert body.startswith(b"GET /public/...a/.b/c..d HTTP/1.1\r\n"), "dots in a name are no dot segments"


@pytest.mark.parametrize("exported_path", ["/caf%C3%A9", "/caf%c3%a9"])
async def test_spellings_of_one_path_are_one_route(net: Any, make: Any, ok: Any, exported_path: str) -> None:
    port = await exported(net, make, await net.app(lambda head, _: ok(head)), path=exported_path)
    for target in ("/caf%C3%A9", "/caf%c3%a9/x", "/caf%c3%A9?x", "/%63af%C3%A9"):
        status, _, body = await net.ask(port, target)
        assert status == 200, target
        assert body.startswith(f"GET {target} HTTP/1.1\r\n".encode()), "and is passed on as it came"
    status, _, body = await net.ask(port, "/café")
    assert (status, body.split(b" ")[1]) == (200, b"/caf%C3%A9"), "what no target may hold goes on encoded"


def test_two_spellings_of_one_path_are_one_conflict(make: Any) -> None:
    compiled = compile_snapshot(
        [
            make.service("a"),
            make.service("b"),
            make.export("a", "/caf%C3%A9"),
            make.export("b", "/caf%c3%a9"),
        ],
        HERE,
    )
    assert [problem.reason for problem in compiled.problems] == ["PathConflict"]


@pytest.mark.parametrize("path", ["/a/../b", "/a/./b", "/a/%2e%2e/b", "/a/..", "/a%2f..", "/%zz", "/a%2"])
def test_an_export_of_a_path_that_nobody_can_ask_for_is_named(make: Any, path: str) -> None:
    compiled = compile_snapshot([make.service(), make.export(path=path)], HERE)
    assert [problem.reason for problem in compiled.problems] == ["InvalidPath"]


# Rewrites


@pytest.mark.parametrize("to", ["/new path", "/x\r\nEvil: 1", "/x#y", "/é", "/\0", "/x\t"])
def test_a_replacement_that_no_target_can_have_is_named(make: Any, to: str) -> None:
    with pytest.raises(RewriteError, match="no request target can have"):
        Rewrite("^/app", to)
    compiled = compile_snapshot([make.service(), make.export(pathRewrite={"from": "^/app", "to": to})], HERE)
    assert [problem.reason for problem in compiled.problems] == ["InvalidRewrite"]


@pytest.mark.parametrize("rewrite", [{"from": "^/app", "to": ""}, {"from": "^/app"}, {"to": "/"}])
def test_half_a_rewrite_is_named(make: Any, rewrite: dict[str, str]) -> None:
    compiled = compile_snapshot([make.service(), make.export(pathRewrite=rewrite)], HERE)
    assert [problem.reason for problem in compiled.problems] == ["InvalidRewrite"]
    assert "needs both" in compiled.problems[0].message


def test_a_rewrite_that_grows_without_bound_is_refused_before_it_is_made() -> None:
    rewrite = Rewrite(".", "x" * 1024)
    with pytest.raises(ProtocolError, match="longer than 8192 bytes") as caught:
        rewrite.apply(b"/" + b"a" * 1900)
    assert caught.value.status == 414
    assert rewrite.apply(b"/abc") == b"x" * 4096


async def test_a_request_whose_rewrite_grows_too_long_is_answered(net: Any, make: Any, ok: Any) -> None:
    app = await net.app(lambda _head, _body: ok())
    port, _, _ = await net.gateway(
        make.service(),
        make.slice("127.0.0.1", port=app),
        make.export(path="/", pathRewrite={"from": ".", "to": "/" * 1024}),
    )
    assert (await net.ask(port, "/" + "a" * 1900))[0] == 414
    assert (await net.ask(port, "/a"))[0] == 200


# Fields


async def test_an_outsiders_forwarding_fields_of_every_name_are_dropped(net: Any, make: Any, ok: Any) -> None:
    port = await exported(net, make, await net.app(lambda head, _: ok(head)))
    said = {
        "X-Forwarded-Prefix": "/evil",
        "X-Forwarded-Port": "666",
        "X-Forwarded-Server": "evil",
        "X-Forwarded-Ssl": "on",
        "X-Forwarded-Scheme": "https",
        "Forwarded": "for=6.6.6.6",
        "X-Real-IP": "6.6.6.6",
        "True-Client-IP": "6.6.6.6",
        "X-Original-URL": "/evil",
        "X-Rewrite-URL": "/evil",
        "X-Forwarded": "for=6.6.6.6",
        "X-Cluster-Client-IP": "6.6.6.6",
        "X-Client-IP": "6.6.6.6",
        "Client-IP": "6.6.6.6",
        "CF-Connecting-IP": "6.6.6.6",
        "CF-Connecting-IPv6": "2001:db8::6",
        "Fastly-Client-IP": "6.6.6.6",
        "X-Envoy-External-Address": "6.6.6.6",
        "X-Host": "evil.example",
        "X-HTTP-Host-Override": "evil.example",
        "X-Scheme": "https",
        "X-URL-Scheme": "https",
        "Front-End-Https": "on",
        "Proxy": "http://evil.example",
    }
    _, _, body = await net.ask(port, fields="".join(f"{name}: {value}\r\n" for name, value in said.items()))
    names = {line.partition(b":")[0].lower() for line in body.split(b"\r\n")}
    assert names.isdisjoint(name.lower().encode() for name in said)


async def test_a_named_proxys_forwarding_fields_pass(net: Any, make: Any, ok: Any) -> None:
    app = await net.app(lambda head, _: ok(head))
    port = await exported(net, make, app, trusted=("127.0.0.1",))
    _, _, body = await net.ask(port, fields=(
        "X-Forwarded-Prefix: /shop\r\nX-Real-IP: 1.2.3.4\r\nCF-Connecting-IP: 1.2.3.4\r\nX-Scheme: https\r\n"
        "Proxy: http://evil.example\r\n"
    ))  # fmt: skip
    lines = body.lower().split(b"\r\n")
    assert b"x-forwarded-prefix: /shop" in lines
    assert b"x-real-ip: 1.2.3.4" in lines
    assert b"cf-connecting-ip: 1.2.3.4" in lines
    assert b"x-scheme: https" in lines
    assert b"evil" not in body, "no proxy says this of a request"


async def test_of_two_request_ids_the_first_is_kept(net: Any, make: Any, ok: Any) -> None:
    port = await exported(net, make, await net.app(lambda head, _: ok(head)))
    status, _, body = await net.ask(port, fields="X-Request-Id: mine\r\nX-Request-Id: the-proxys\r\n")
    assert status == 200
    lines = [line for line in body.split(b"\r\n") if line.lower().startswith(b"x-request-id")]
    assert lines == [b"X-Request-Id: mine"]


# Answers without a body


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@pytest.mark.parametrize("late", [False, True])
async def test_an_answer_without_a_body_loses_its_framing(
    net: Any, make: Any, ok: Any, status: bytes, late: bool
) -> None:
    async def chunked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (head := await reader.readuntil(b"\r\n\r\n")) and b"/plain" not in head:
            writer.write(b"HTTP/1.1 " + status + b"\r\nTransfer-Encoding: chunked\r\n\r\n")
            if late:
                await writer.drain()
                await asyncio.sleep(0.01)
            writer.write(b"0\r\n\r\n")
        writer.write(ok(b"plain"))

    port = await exported(net, make, await net.server(chunked))
    reader, writer = await net.connect(port)
    for target in (b"/", b"/", b"/plain"):
        writer.write(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        found, head, body = await net.answer(reader)
        assert b"transfer-encoding" not in head.lower()
        assert (found, body) == ((200, b"plain") if target == b"/plain" else (int(status[:3]), b""))


# Chunks


async def test_a_space_before_a_chunk_extension_is_read(net: Any, make: Any, ok: Any) -> None:
    async def spaced(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"5 ;a=b\r\nhello\r\n0\r\n\r\n")

    assert (await net.ask(await exported(net, make, await net.server(spaced))))[::2] == (200, b"hello")


# Terminating endpoints


@pytest.mark.parametrize(
    "conditions",
    [
        {"ready": False, "serving": True, "terminating": True},
        {"ready": True, "serving": True, "terminating": True},  # publishNotReadyAddresses
    ],
)
async def test_terminating_pods_serve_when_nobody_else_is_left(
    net: Any, make: Any, ok: Any, conditions: dict[str, bool]
) -> None:
    app = await net.app(lambda _head, _body: ok(b"last"))
    port, _, _ = await net.gateway(
        make.service(), make.slice("127.0.0.1", port=app, **conditions), make.export()
    )
    assert (await net.ask(port, "/app"))[::2] == (200, b"last")


def test_terminating_pods_do_not_serve_beside_ready_ones(make: Any) -> None:
    snapshot = compile_snapshot(
        [
            make.service(),
            make.slice("10.0.0.1"),
            make.slice("10.0.0.2", label="http", ready=False, serving=True, terminating=True)
            | {"metadata": {**make.slice()["metadata"], "name": "second"}},
            make.export(),
        ],
        HERE,
    ).snapshot
    route = snapshot.paths.find(b"/app")
    assert route is not None
    assert [str(endpoint) for endpoint in route.clusters[0].endpoints] == ["10.0.0.1:3000"]


# Connections


async def test_a_connection_opened_ahead_lives_as_long_as_an_idle_one(net: Any, make: Any, ok: Any) -> None:
    app = await net.app(lambda _head, _body: ok())
    port = await exported(net, make, app, head_seconds=0.3, idle_seconds=30.0)
    reader, writer = await net.connect(port)
    await asyncio.sleep(1.0)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await net.answer(reader))[0] == 200
