"""NodeApp against a fake Dapr sidecar, both on real sockets."""

from __future__ import annotations

import asyncio
import importlib.util
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

SOURCE = Path(__file__).parents[2] / "apps" / "nodeapp" / "nodeapp.py"
_spec = importlib.util.spec_from_file_location("nodeapp", SOURCE)
assert _spec is not None
assert _spec.loader is not None
nodeapp = importlib.util.module_from_spec(_spec)
sys.modules["nodeapp"] = nodeapp
_spec.loader.exec_module(nodeapp)

Client = TestClient[Any, Any]


class FakeDapr:
    """The calls that NodeApp makes; `fail` makes all answer that status."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.fail = 0
        self.delay = 0.0

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.post("/v1.0/state/statestore", self._save),
                web.get("/v1.0/state/statestore/{key}", self._load),
                web.get("/v1.0/healthz/outbound", self._health),
            ]
        )
        return app

    async def _save(self, request: web.Request) -> web.Response:
        await asyncio.sleep(self.delay)
        if self.fail:
            return web.Response(status=self.fail, text="state store statestore is not configured")
        for entry in await request.json():
            self.state[entry["key"]] = entry["value"]
        return web.Response(status=204)

    async def _health(self, _request: web.Request) -> web.Response:
        return web.Response(status=self.fail or 204)

    async def _load(self, request: web.Request) -> web.Response:
        if self.fail:
            return web.Response(status=self.fail, text="boom")
        key = request.match_info["key"]
        return web.json_response(self.state[key]) if key in self.state else web.Response(status=204)


@pytest.fixture
async def dapr() -> AsyncIterator[tuple[FakeDapr, TestServer]]:
    fake = FakeDapr()
    server = TestServer(fake.app())
    await server.start_server()
    yield fake, server
    await server.close()


@pytest.fixture
async def client(dapr: tuple[FakeDapr, TestServer]) -> AsyncIterator[Client]:
    config = nodeapp.read_config({"CLUSTER_NAME": "cluster-3", "DAPR_HTTP_PORT": str(dapr[1].port)})
    async with TestClient(TestServer(nodeapp.make_app(config))) as client:
        yield client


async def test_ports_shows_the_sidecars_ports_and_the_cluster() -> None:
    config = nodeapp.read_config({"CLUSTER_NAME": "cluster-3"})
    async with TestClient(TestServer(nodeapp.make_app(config))) as client:
        answer = await client.get("/ports")
        expected = '{"DAPR_HTTP_PORT":"3500","DAPR_GRPC_PORT":"50001"}, from cluster: cluster-3'
        assert await answer.text() == expected, "the article prints exactly this"


async def test_an_order_written_is_read_back_in_the_articles_words(client: Client) -> None:
    written = await client.post("/neworder", json={"data": {"orderId": "42"}})
    assert (written.status, await written.text()) == (200, "created order via cluster: cluster-3")
    read = await client.get("/order")
    assert (read.status, await read.text()) == (200, '{"orderId":"42"}, from cluster: cluster-3')


async def test_no_order_is_not_found(client: Client) -> None:
    answer = await client.get("/order")
    assert (answer.status, await answer.text()) == (404, "no order yet, from cluster: cluster-3")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"data": 42}', b'{"data": {}}', b"\xff"])
async def test_a_body_without_an_order_is_refused(client: Client, body: bytes) -> None:
    answer = await client.post("/neworder", data=body)
    assert answer.status == 400
    assert 'send {"data": {"orderId": "42"}}' in await answer.text(), "the caller learns what to send"


async def test_an_oversized_body_is_refused(client: Client) -> None:
    answer = await client.post("/neworder", data=b" " * (nodeapp.MAX_BODY_BYTES + 1))
    assert answer.status == 413


async def test_a_failing_state_store_is_a_bad_gateway(
    client: Client, dapr: tuple[FakeDapr, TestServer]
) -> None:
    dapr[0].fail = 500
    written = await client.post("/neworder", json={"data": {"orderId": "1"}})
    assert written.status == 502
    assert "answered 500: state store statestore is not configured" in await written.text()
    assert (await client.get("/order")).status == 502


async def test_a_missing_sidecar_is_unavailable_and_ports_still_answers(
    client: Client, dapr: tuple[FakeDapr, TestServer]
) -> None:
    await dapr[1].close()
    answer = await client.get("/order")
    assert answer.status == 503
    assert "cannot reach the Dapr sidecar" in await answer.text()
    assert (await client.get("/ports")).status == 200, "the process itself is well"


async def test_without_the_sidecar_that_it_needs_it_is_alive_and_not_ready(
    dapr: tuple[FakeDapr, TestServer],
) -> None:
    config = nodeapp.read_config({"DAPR_MODE": "install", "DAPR_HTTP_PORT": str(dapr[1].port)})
    async with TestClient(TestServer(nodeapp.make_app(config))) as client:
        assert (await client.get("/readyz")).status == 200
        dapr[0].fail = 500
        assert (await client.get("/readyz")).status == 502, "it is still starting, or ending"
        await dapr[1].close()
        answer = await client.get("/readyz")
        assert answer.status == 503
        assert "cannot reach the Dapr sidecar" in await answer.text()
        assert (await client.get("/healthz")).status == 200, "a restart of the app would not help"


@pytest.mark.parametrize("environ", [{}, {"DAPR_MODE": "none"}])
async def test_where_there_is_no_dapr_it_is_ready_without(environ: dict[str, str]) -> None:
    async with TestClient(TestServer(nodeapp.make_app(nodeapp.read_config(environ)))) as client:
        assert (await client.get("/readyz")).status == 200


async def test_a_stuck_sidecar_does_not_hold_the_caller(
    client: Client, dapr: tuple[FakeDapr, TestServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodeapp, "DAPR_TIMEOUT_SECONDS", 0.1)
    config = nodeapp.read_config({"DAPR_HTTP_PORT": str(dapr[1].port)})
    dapr[0].delay = 1.0
    async with TestClient(TestServer(nodeapp.make_app(config))) as impatient:
        answer = await impatient.post("/neworder", json={"data": {"orderId": "1"}})
        assert answer.status == 503


def test_a_port_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match="APP_PORT='http' is not a port"):
        nodeapp.read_config({"APP_PORT": "http"})


async def test_a_stopping_process_finishes_the_request_under_way(
    dapr: tuple[FakeDapr, TestServer], unused_tcp_port: int
) -> None:
    dapr[0].delay = 0.5
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SOURCE),
        env={
            "APP_PORT": str(unused_tcp_port),
            "CLUSTER_NAME": "cluster-1",
            "DAPR_HTTP_PORT": str(dapr[1].port),
        },
        stdout=asyncio.subprocess.DEVNULL,
    )
    base = f"http://127.0.0.1:{unused_tcp_port}"
    async with aiohttp.ClientSession() as session:
        await _until_healthy(session, base)
        under_way = asyncio.create_task(session.post(f"{base}/neworder", json={"data": {"orderId": "7"}}))
        await asyncio.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        answer = await under_way
        assert (answer.status, await answer.text()) == (200, "created order via cluster: cluster-1")
    assert await asyncio.wait_for(process.wait(), 5) == 0, "a stop on request is not a failure"


async def _until_healthy(session: aiohttp.ClientSession, base: str) -> None:
    for _ in range(100):
        try:
            async with session.get(f"{base}/healthz") as answer:
                assert answer.status == 200
                return
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.05)
    raise AssertionError("NodeApp did not start within 5 s")
