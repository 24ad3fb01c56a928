"""Who may read the live page, and what is sent along with it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from platforms.frames import FakeCollector

from cli.dashboard.server import MOST_VIEWERS, PAGE, Server, refusal
from cli.errors import UserError

PORT = 8642
GOOD = {"Host": f"127.0.0.1:{PORT}"}


@pytest.fixture
def source() -> FakeCollector:
    return FakeCollector()


@pytest.fixture
async def server(source: FakeCollector) -> AsyncIterator[Server]:
    async with Server(source) as found:
        yield found


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.parametrize(
    ("method", "headers", "refused"),
    [
        ("GET", GOOD, False),
        ("HEAD", {"Host": f"LOCALHOST:{PORT}"}, False),
        ("GET", {**GOOD, "Sec-Fetch-Site": "same-origin"}, False),
        ("GET", {"Host": f"rebound.example:{PORT}"}, True),
        ("GET", {"Host": "127.0.0.1"}, True),
        ("GET", {"Host": f"127.0.0.1.example:{PORT}"}, True),
        ("GET", {}, True),
        ("GET", {**GOOD, "Sec-Fetch-Site": "cross-site"}, True),
        ("GET", {**GOOD, "Sec-Fetch-Site": "same-site"}, True),
        ("POST", GOOD, True),
        ("DELETE", GOOD, True),
    ],
)
def test_only_the_page_itself_may_read_by_the_address_of_loopback(
    method: str, headers: dict[str, str], refused: bool
) -> None:
    assert bool(refusal(method, headers, PORT)) is refused


async def test_it_listens_on_loopback_alone(server: Server) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{22}/", server.url)


async def test_nothing_is_told_without_the_token_or_by_another_name(
    server: Server, client: aiohttp.ClientSession
) -> None:
    origin = server.url.rsplit("/", 2)[0]
    for path in ("/", "/frames", "/main.js", "/x/frames", "/doctor?about=x"):
        async with client.get(origin + path) as answer:
            assert answer.status == 404
    async with client.get(server.url, headers={"Host": "rebound.example"}) as answer:
        assert answer.status == 403
        assert "Content-Security-Policy" in answer.headers


async def test_every_file_of_the_page_comes_with_a_policy_that_allows_its_own_files_alone(
    server: Server, client: aiohttp.ClientSession
) -> None:
    for name in ("", *(path.name for path in PAGE.iterdir())):
        async with client.get(server.url + name) as answer:
            assert answer.status == 200, name
            policy = answer.headers["Content-Security-Policy"].split("; ")
            assert policy[0] == "default-src 'none'"
            assert {"script-src 'self'", "frame-ancestors 'none'", "trusted-types 'none'"} <= set(policy)
            assert not re.search(r"unsafe|\*|https?:|data:", " ".join(policy))
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for path in ("../server.py", "..%2fserver.py", "server.py", "nothing.js"):
        async with client.get(server.url + path) as answer:
            assert answer.status == 404


def test_the_page_asks_nobody_else_and_reads_no_text_as_html() -> None:
    for path in PAGE.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//[a-z]+\.[a-z]", text), f"{path.name} names an outside resource"
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text
        )
        assert not re.search(r"<script(?! type=\"module\" src=)|<style| style=| on\w+=", text), path.name


async def events(answer: aiohttp.ClientResponse) -> AsyncIterator[dict[str, object]]:
    async for line in answer.content:
        if line.startswith(b"data: "):
            yield json.loads(line[6:])


async def test_a_frame_comes_at_once_and_when_something_changes(
    server: Server, source: FakeCollector, client: aiohttp.ClientSession
) -> None:
    async with client.get(f"{server.url}frames?text=node") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        stream = events(answer)
        first = await anext(stream)
        assert first["environment"] == "dev"
        source.world["cluster-3"].error = "connection refused"
        source.touch()
        async for found in stream:
            if found["totals"]["reachable"] == 3:  # type: ignore[index]
                break
    assert source.asked[0].text == "node"


async def test_a_query_that_is_none_is_refused(server: Server, client: aiohttp.ClientSession) -> None:
    for path in ("frames?colour=red", f"frames?text={'x' * 301}", "doctor", f"doctor?about={'x' * 301}"):
        async with client.get(server.url + path) as answer:
            assert answer.status == 400


async def test_there_is_a_bound_on_pages_that_are_open(server: Server, client: aiohttp.ClientSession) -> None:
    open_ones = [await client.get(f"{server.url}frames") for _ in range(MOST_VIEWERS)]
    async with client.get(f"{server.url}frames") as answer:
        assert answer.status == 503
    for one in open_ones:
        one.close()
    async with asyncio.timeout(10):
        while True:
            async with client.get(f"{server.url}frames") as answer:
                if answer.status == 200:
                    break


async def test_the_doctor_is_asked_about_one_subject(server: Server, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{server.url}doctor", params={"about": "dapr-test/nodeapp"}) as answer:
        found = await answer.json()
    assert found["checks"]
    assert all("dapr-test/nodeapp" in check["name"] for check in found["checks"])


async def test_a_port_that_is_taken_is_named(server: Server) -> None:
    port = int(server.url.split(":")[2].split("/")[0])
    with pytest.raises(UserError, match=f"127.0.0.1:{port}"):
        async with Server(FakeCollector(), port):
            pass


def test_the_page_is_small_enough_to_be_read() -> None:
    assert sum(path.stat().st_size for path in Path(PAGE).iterdir()) < 80_000
