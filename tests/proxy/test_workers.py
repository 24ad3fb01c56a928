"""`gateway serve --workers`: real processes that share a port, and what becomes of them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import gateway

KEY = "default/default/default/here"
PATIENCE = 60.0
"""Seconds after which a test that waits is a test that hangs."""


class Gateway:
    """A running `gateway serve`, and what it has said so far."""

    def __init__(self, process: asyncio.subprocess.Process, ask: Callable[..., Awaitable[Any]]) -> None:
        self.process = process
        self.said = ""
        self._ask = ask
        self._output = asyncio.create_task(process.stdout.read())  # type: ignore[union-attr]
        self._reader = asyncio.create_task(self._read())
        self._news = asyncio.Event()

    async def _read(self) -> None:
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            self.said += line.decode()
            self._news.set()

    async def says(self, pattern: str) -> re.Match[str]:
        """Wait until it has said so."""
        async with asyncio.timeout(PATIENCE):
            while (found := re.search(pattern, self.said)) is None:
                assert not self._reader.done(), f"ended without saying {pattern!r}: {self.said}"
                self._news.clear()
                await self._news.wait()
            return found

    async def ready(self) -> None:
        """Wait until it can be asked; both ports are known then."""
        found = await self.says(r"for listen=127.0.0.1:(\d+) admin=127.0.0.1:(\d+)")
        self.port, self.admin = int(found[1]), int(found[2])
        await self.until(200)

    async def until(self, status: int, name: str = "readyz", text: str = "") -> None:
        """Wait until the page answers so."""
        found = (0, "")
        try:
            async with asyncio.timeout(PATIENCE):
                while found[0] != status or text not in found[1]:
                    await asyncio.sleep(0.05)
                    found = await self.page(name)
        except TimeoutError:
            raise AssertionError(f"/{name} still says {found}: {self.said}") from None

    async def page(self, name: str) -> tuple[int, str]:
        status, _, body = await self._ask(self.admin, f"/{name}")
        return status, body.decode()

    async def metric(self, name: str) -> float:
        """A metric, its series summed."""
        _, text = await self.page("metrics")
        return sum(float(line.split()[-1]) for line in text.splitlines() if re.match(rf"{name}[ {{]", line))

    def worker(self, number: int) -> int:
        """The process that is this worker now."""
        return int(re.findall(rf"worker {number} is process (\d+)", self.said)[-1])

    async def end(self) -> tuple[int, list[dict[str, Any]]]:
        """Wait for its end: exit code and access log."""
        async with asyncio.timeout(PATIENCE):
            output = await self._output
            await self._reader
            return await self.process.wait(), [json.loads(line) for line in output.splitlines()]

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.end()


Start = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def start(net: Any, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts gateways of two workers on the objects in the test's folder."""
    started = []

    async def one(*more: str, listen: str = "127.0.0.1:0") -> Gateway:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", "serve", "--objects", str(tmp_path), "--cluster-key", KEY,
            "--listen", listen, "--admin", "127.0.0.1:0", "--workers", "2", *more,
            env={**os.environ, "PYTHONPATH": str(Path(gateway.__file__).parents[1])},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        found = Gateway(process, net.ask)
        started.append(found)
        return found

    yield one
    for found in started:
        await found.kill()


@pytest.fixture
async def app(make: Any, net: Any, ok: Any, tmp_path: Path) -> dict[str, Any]:
    """An application that is exported at /app; at /app/slow it answers once `go` is set."""
    found: dict[str, Any] = {"go": asyncio.Event(), "slow": 0}

    async def reply(head: bytes, _body: bytes) -> bytes:
        if b"/slow" in head:
            found["slow"] += 1
            await found["go"].wait()
        return bytes(ok(b"served"))

    port = await net.app(reply)
    objects = [make.service(), make.slice("127.0.0.1", port=port), make.export()]
    (tmp_path / "objects.yaml").write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    return found


async def test_workers_share_the_requests_and_speak_as_one(start: Start, app: Any, net: Any) -> None:
    one = await start()
    await one.ready()
    for _ in range(60):
        assert (await net.ask(one.port, "/app"))[::2] == (200, b"served")
    assert (await net.ask(one.port, "/none"))[0] == 404
    assert await one.metric("gateway_requests_total") == 60
    assert await one.metric("gateway_request_seconds_count") == 60
    assert await one.metric("gateway_own_answers_total") == 1
    assert await one.metric("gateway_client_connections_total") == 61
    assert await one.metric("gateway_workers") == 2
    await one.until(200, "livez")
    status, config = await one.page("config")
    assert status == 200
    assert [route["where"] for route in json.loads(config)["northSouth"]] == ["Prefix /app"]
    one.process.send_signal(signal.SIGTERM)
    code, log = await one.end()
    assert code == 0, one.said
    assert Counter(record["status"] for record in log) == {200: 60, 404: 1}
    assert len({record["request_id"][:16] for record in log if record["request_id"]}) == 2, (
        "both workers have served"
    )


async def test_a_worker_that_hangs_is_named_until_it_answers(start: Start, app: Any, net: Any) -> None:
    one = await start()
    await one.ready()
    assert (await net.ask(one.port, "/app"))[0] == 200
    assert await one.metric("gateway_requests_total") == 1
    os.kill(one.worker(1), signal.SIGSTOP)
    try:
        await one.until(503, "livez", "worker 1 does not answer")
        await one.until(503, "readyz", "worker 1 does not answer")
        assert await one.metric("gateway_requests_total") == 1, "what it told last stays"
    finally:
        os.kill(one.worker(1), signal.SIGCONT)
    await one.until(200, "livez", "ok")
    await one.until(200, "readyz", "2 of 2 workers are ready")


async def test_a_worker_that_dies_under_load_is_replaced(start: Start, app: Any, net: Any) -> None:
    one = await start()
    await one.ready()
    served, lost, loading = 0, 0, True

    async def load() -> None:
        nonlocal served, lost
        while loading:
            try:
                status, _, _ = await net.ask(one.port, "/app")
            except (ConnectionError, asyncio.IncompleteReadError):
                status = 0
            served += status == 200
            lost += status == 0
            assert status in {200, 0}, "no answer at all, or the right one"

    clients = [asyncio.create_task(load()) for _ in range(4)]
    while served < 20:  # noqa: ASYNC110  counted by the clients
        await asyncio.sleep(0.01)
    before, dead = await one.metric("gateway_requests_total"), one.worker(1)
    os.kill(dead, signal.SIGKILL)
    await one.says(r"worker 1 was ended by SIGKILL, by hand or for want of memory; the next one starts in")
    await one.says(r"(?s)the next one starts in .*worker 1 is process \d+")
    assert one.worker(1) != dead
    await one.says(r"(?s)the next one starts in .*worker 1 gateway.serve: serving")
    await one.until(200)
    known = served
    while served < known + 20:  # noqa: ASYNC110  counted by the clients
        await asyncio.sleep(0.01)
    loading = False
    await asyncio.gather(*clients)
    assert lost <= 2 * len(clients), "only what was under way on the worker that died"
    assert await one.metric("gateway_requests_total") >= before, "counters never fall"
    assert await one.metric("gateway_worker_restarts_total") == 1
    assert await one.metric("gateway_workers") == 2


async def test_sigterm_loses_no_request(start: Start, app: Any, net: Any) -> None:
    one = await start("--drain-delay", "2", "--drain-seconds", "30")
    await one.ready()
    slow = [asyncio.create_task(net.ask(one.port, "/app/slow")) for _ in range(12)]
    while app["slow"] < 12:  # noqa: ASYNC110  counted by the application
        await asyncio.sleep(0.01)

    async def until_told_to_leave() -> int:
        number = 0
        while True:
            status, head, _ = await net.ask(one.port, "/app")
            assert status == 200
            number += 1
            if b"connection: close" in head.lower():
                return number

    quick = [asyncio.create_task(until_told_to_leave()) for _ in range(4)]
    one.process.send_signal(signal.SIGTERM)
    await one.until(503)
    asked = sum(await asyncio.gather(*quick))
    app["go"].set()
    assert [answer[0] for answer in await asyncio.gather(*slow)] == [200] * 12
    code, log = await one.end()
    assert code == 0, one.said
    assert len(log) == asked + 12, "every request is logged, in whole lines"


async def test_nobody_else_gets_the_port_and_no_worker_outlives_its_supervisor(
    start: Start, app: Any, net: Any
) -> None:
    one = await start()
    await one.ready()
    other = await start(listen=f"127.0.0.1:{one.port}")
    assert (await other.end())[0] == 1
    assert other.said == (
        f"gateway serve: cannot listen on 127.0.0.1:{one.port}: Address already in use; "
        "end what listens there, or give --listen another\n"
    )
    workers = [one.worker(number) for number in (0, 1)]
    one.process.kill()
    async with asyncio.timeout(PATIENCE):
        while any(map(runs, workers)):  # noqa: ASYNC110  other processes' doing
            await asyncio.sleep(0.05)


def runs(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="ascii")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


async def test_what_keeps_a_worker_from_starting_is_said_once(start: Start, tmp_path: Path) -> None:
    (tmp_path / "objects.yaml").write_text("kind: [", encoding="utf-8")
    one = await start()
    code, _ = await one.end()
    assert code == 1
    assert one.said.count("is not YAML") == 1
    assert "the first worker ended with exit code 1" in one.said


async def test_when_all_workers_keep_dying_the_gateway_ends(start: Start, app: Any, tmp_path: Path) -> None:
    one = await start()
    await one.ready()
    (tmp_path / "objects.yaml").write_text("kind: [", encoding="utf-8")
    for number in (0, 1):
        os.kill(one.worker(number), signal.SIGKILL)
    code, _ = await one.end()
    assert code == 1
    assert "each of 2 workers ended 4 times within 10 s of its start: giving up" in one.said
