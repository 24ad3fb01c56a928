"""Client and informer against a small API that can forget, hang up and answer nonsense on command."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from gateway.kube import client as client_module
from gateway.kube.client import KubeClient
from gateway.kube.client_config import ClientConfig
from gateway.kube.errors import Conflict, Gone, Invalid, KubeError, NotFound, Refused, Unreachable
from gateway.kube.resources import EXPORT
from gateway.kube.timing import Timing
from gateway.kube.watch import Backoff, Informer, Signal, Store

Key = tuple[str, str]


class FakeApi:
    """ServiceExports with versions, watches with history, and the faults a real API server has."""

    def __init__(self) -> None:
        self.version = 1
        self.objects: dict[Key, dict[str, Any]] = {}
        self.history: list[tuple[int, str, dict[str, Any]]] = []
        self.oldest = 0
        """Watches from before this version are answered 410."""
        self.lists = self.watches = 0
        self.page = 500
        self.faults: list[Callable[[web.Request], web.Response]] = []
        """Answers to the next requests, instead of the right ones."""
        self._news = asyncio.Condition()
        self.open = 0
        """Watches that are open."""
        self._ending = ""

    async def put(self, name: str, value: int = 0) -> None:
        kind = "MODIFIED" if ("demo", name) in self.objects else "ADDED"
        await self._store(kind, {"metadata": {"namespace": "demo", "name": name}, "spec": {"value": value}})

    async def delete(self, name: str) -> None:
        await self._store("DELETED", self.objects[("demo", name)])

    async def _store(self, kind: str, obj: dict[str, Any]) -> None:
        self.version += 1
        obj = {**obj, "apiVersion": EXPORT.api_version, "kind": EXPORT.kind}
        obj["metadata"] = {**obj["metadata"], "resourceVersion": str(self.version)}
        key = (obj["metadata"]["namespace"], obj["metadata"]["name"])
        if kind == "DELETED":
            del self.objects[key]
        else:
            self.objects[key] = obj
        await self._tell(kind, obj)

    async def bookmark(self) -> None:
        self.version += 1
        await self._tell(
            "BOOKMARK", {"kind": EXPORT.kind, "metadata": {"resourceVersion": str(self.version)}}
        )

    async def _tell(self, kind: str, obj: dict[str, Any]) -> None:
        async with self._news:
            self.history.append((self.version, kind, obj))
            self._news.notify_all()

    async def expire(self) -> None:
        """An error in the stream: the version watched from is too old."""
        self.version += 1
        await self._tell("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})

    async def hang_up(self, *, in_order: bool = False) -> None:
        """End every watch, in the middle of the stream unless `in_order`."""
        async with self._news:
            self._ending = "in order" if in_order else "broken"
            self._news.notify_all()
            await self._news.wait_for(lambda: not self.open)
            self._ending = ""

    def forget(self) -> None:
        """Keep no history, as after compaction."""
        self.history.clear()
        self.oldest = self.version

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.faults:
            return self.faults.pop(0)(request)
        if request.query.get("watch"):
            return await self._watch(request)
        self.lists += 1
        start = int(request.query.get("continue") or 0)
        names = sorted(self.objects)
        items = [
            {name: value for name, value in self.objects[key].items() if name in {"metadata", "spec"}}
            for key in names[start : start + self.page]
        ]
        more = str(start + self.page) if start + self.page < len(names) else ""
        return web.json_response(
            {"metadata": {"resourceVersion": str(self.version), "continue": more}, "items": items}
        )

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        self.watches += 1
        seen = int(request.query["resourceVersion"])
        if seen < self.oldest:
            return failure(410, "Expired", "too old resource version")(request)
        response = web.StreamResponse()
        await response.prepare(request)
        self.open += 1
        await self._send(request, response, seen)
        return response

    async def _send(self, request: web.Request, response: web.StreamResponse, seen: int) -> None:
        async with self._news:
            while True:
                for version, kind, obj in [event for event in self.history if event[0] > seen]:
                    seen = version
                    line = json.dumps({"type": kind, "object": obj}).encode() + b"\n"
                    # In two parts, so that a line never comes in one piece.
                    await response.write(line[:7])
                    await response.write(line[7:])
                if self._ending:
                    break
                await self._news.wait()
            if self._ending == "broken":
                assert request.transport is not None
                request.transport.abort()
            self.open -= 1
            self._news.notify_all()


def failure(status: int, reason: str, message: str) -> Callable[[web.Request], web.Response]:
    body = {"kind": "Status", "code": status, "reason": reason, "message": message}
    return lambda _: web.json_response(body, status=status)


@pytest.fixture
async def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
async def client(api: FakeApi) -> AsyncIterator[KubeClient]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    async with KubeClient(
        ClientConfig(f"http://{host}:{port}", None, token="t"), field_manager="test"
    ) as made:
        yield made
    await runner.cleanup()


class Follower:
    """A running informer and what it was told."""

    def __init__(self, client: KubeClient, **how: Any) -> None:
        self.changes = 0
        self.informer = Informer(client, EXPORT, self._changed, **how)
        self.task = asyncio.create_task(self.informer.run())

    def _changed(self) -> None:
        self.changes += 1

    @property
    def values(self) -> dict[str, int]:
        return {name: obj["spec"]["value"] for (_, name), obj in self.informer.objects.items()}

    async def expect(self, values: dict[str, int]) -> None:
        await until(lambda: self.values == values and self.informer.synced)


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not check():  # noqa: ASYNC110  what is awaited is the result
            await asyncio.sleep(0.005)


@pytest.fixture
async def follower(client: KubeClient) -> AsyncIterator[Follower]:
    made = Follower(client)
    yield made
    made.task.cancel()
    await asyncio.gather(made.task, return_exceptions=True)


async def test_it_lists_and_then_follows(api: FakeApi, follower: Follower) -> None:
    await api.put("a", 1)
    await follower.expect({"a": 1})
    await api.put("b", 1)
    await api.put("a", 2)
    await follower.expect({"a": 2, "b": 1})
    await api.delete("b")
    await follower.expect({"a": 2})
    assert api.lists == 1


async def test_an_empty_list_is_a_complete_one(follower: Follower) -> None:
    await follower.informer.wait_synced()
    assert follower.changes >= 1


async def test_pages_are_put_together(api: FakeApi, client: KubeClient) -> None:
    api.page = 2
    for name in "abcde":
        await api.put(name)
    made = Follower(client)
    await made.expect(dict.fromkeys("abcde", 0))
    assert api.lists == 3
    made.task.cancel()


async def test_a_broken_watch_is_resumed_without_a_new_list(api: FakeApi, follower: Follower) -> None:
    await api.put("a", 1)
    await follower.expect({"a": 1})
    await api.hang_up()
    await api.put("a", 2)
    await api.put("b", 1)
    await follower.expect({"a": 2, "b": 1})
    assert api.lists == 1
    assert follower.informer.error is None


async def test_what_was_missed_while_history_was_forgotten_is_found_by_listing(
    api: FakeApi, follower: Follower
) -> None:
    for name in "abc":
        await api.put(name, 1)
    await follower.expect({"a": 1, "b": 1, "c": 1})
    await api.hang_up()
    api.faults = [failure(503, "ServiceUnavailable", "down")] * 3
    await api.delete("a")
    await api.put("b", 2)
    await api.put("d", 1)
    api.forget()
    await follower.expect({"b": 2, "c": 1, "d": 1})
    assert api.lists == 2


async def test_a_bookmark_saves_the_list(api: FakeApi, follower: Follower) -> None:
    await api.put("a", 1)
    await follower.expect({"a": 1})
    await until(lambda: api.open == 1)
    await api.bookmark()
    await api.hang_up(in_order=True)
    api.forget()
    await api.put("a", 2)
    await follower.expect({"a": 2})
    assert api.lists == 1


async def test_an_error_event_in_the_stream_counts_like_an_answer(api: FakeApi, follower: Follower) -> None:
    await api.put("a", 1)
    await follower.expect({"a": 1})
    await api.expire()
    await until(lambda: api.lists == 2)
    api.forget()
    await api.put("b", 1)
    await follower.expect({"a": 1, "b": 1})
    assert api.lists == 2


async def test_a_server_whose_data_went_back_in_time(api: FakeApi, follower: Follower) -> None:
    for value in range(5):
        await api.put("a", value)
    await follower.expect({"a": 4})
    await api.hang_up()
    api.faults = [failure(504, "Timeout", "Too large resource version: 6, current: 3")]
    api.version, api.objects, api.history = 3, {}, []
    await api.put("b", 1)
    await follower.expect({"b": 1})


async def test_while_nothing_answers_the_copy_stays(api: FakeApi, follower: Follower) -> None:
    await api.put("a", 1)
    await follower.expect({"a": 1})
    api.faults = [failure(500, "InternalError", "etcd is away")] * 4
    before = follower.changes
    await api.hang_up()
    await until(lambda: len(api.faults) < 3)
    assert follower.values == {"a": 1}
    await api.put("a", 2)
    await follower.expect({"a": 2})
    assert follower.changes <= before + 3, "an error and its end are told once each, not per attempt"


async def test_an_optional_resource_may_be_missing_come_and_go(
    api: FakeApi, client: KubeClient, caplog: pytest.LogCaptureFixture
) -> None:
    missing = failure(404, "NotFound", "the server could not find the requested resource")
    api.faults = [missing] * 4
    await api.put("a", 1)
    made = Follower(client, optional=True, timing=Timing(first_retry=0.02, last_retry=0.1))
    try:
        async with asyncio.timeout(5):
            await made.informer.wait_synced()
        assert (made.informer.served, made.informer.error, made.values) == (False, None, {})
        await until(lambda: not api.faults)
        await made.expect({"a": 1})
        assert made.informer.served
        api.faults = [missing] * 50
        await api.hang_up(in_order=True)
        await until(lambda: not made.informer.served)
        assert made.values == {}
        api.faults = []
        await made.expect({"a": 1})
    finally:
        made.task.cancel()
        await asyncio.gather(made.task, return_exceptions=True)
    assert not [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}]


async def test_a_needed_resource_that_is_missing_is_an_error(api: FakeApi, client: KubeClient) -> None:
    api.faults = [failure(404, "NotFound", "no such resource")] * 1000
    made = Follower(client)
    await until(lambda: made.informer.error is not None)
    assert not made.informer.synced
    made.task.cancel()
    await asyncio.gather(made.task, return_exceptions=True)


async def test_many_changes_at_random_end_in_the_same_objects(api: FakeApi, follower: Follower) -> None:
    await follower.informer.wait_synced()
    for step in range(200):
        name = "abcdefgh"[step * 7 % 8]
        if step % 5 == 4 and ("demo", name) in api.objects:
            await api.delete(name)
        else:
            await api.put(name, step)
        if step % 40 == 20:
            await api.hang_up()
        if step % 60 == 50:
            api.forget()
            await api.hang_up()
    await follower.expect({name: obj["spec"]["value"] for (_, name), obj in api.objects.items()})


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Invalid),
        (401, Refused),
        (403, Refused),
        (404, NotFound),
        (409, Conflict),
        (410, Gone),
        (422, Invalid),
        (500, KubeError),
    ],
)
async def test_answers_become_typed_errors(
    api: FakeApi, client: KubeClient, status: int, kind: type[KubeError]
) -> None:
    api.faults = [failure(status, "Some", "words of the server")]
    with pytest.raises(kind, match="words of the server") as caught:
        await client.get(EXPORT, "demo", "a")
    assert caught.value.status == status


async def test_an_answer_that_is_not_json_is_an_error_of_ours(api: FakeApi, client: KubeClient) -> None:
    api.faults = [
        lambda _: web.Response(text="<html>"),
        lambda _: web.Response(text="<html>bad gateway", status=502),
    ]
    with pytest.raises(KubeError, match="did not answer in JSON"):
        await client.get(EXPORT, "demo", "a")
    with pytest.raises(KubeError, match="bad gateway"):
        await client.get(EXPORT, "demo", "a")


async def test_nobody_there() -> None:
    async with KubeClient(ClientConfig("http://127.0.0.1:1", None), field_manager="test") as client:
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
            await client.get(EXPORT, "demo", "a")


async def test_a_line_without_end_is_cut_off(
    api: FakeApi, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_EVENT_BYTES", 1000)
    api.faults = [lambda _: web.Response(body=b"x" * 5000)]
    with pytest.raises(KubeError, match="longer than 1000 bytes"):
        async for _ in client.watch(EXPORT, None, "1", 10):
            pass


def test_a_list_tells_what_is_new_changed_and_gone() -> None:
    def obj(name: str, version: int) -> dict[str, Any]:
        return {"metadata": {"namespace": "demo", "name": name, "resourceVersion": str(version)}}

    store = Store()
    assert store.replace([obj("a", 1), obj("b", 1)]) == {("demo", "a"), ("demo", "b")}
    assert store.replace([obj("b", 2), obj("c", 1)]) == {("demo", "a"), ("demo", "b"), ("demo", "c")}
    assert store.replace([obj("b", 2), obj("c", 1)]) == set()
    assert store.apply("MODIFIED", obj("b", 2)) == set()
    assert store.apply("DELETED", obj("b", 3)) == {("demo", "b")}
    assert store.apply("DELETED", obj("b", 3)) == set()
    assert store.apply("BOOKMARK", obj("", 9)) == set()


def test_pauses_grow_and_stay_below_the_limit() -> None:
    backoff = Backoff(Timing(first_retry=0.1, last_retry=5.0))
    pauses = [backoff.pause() for _ in range(12)]
    assert all(
        low <= pause <= high
        for pause, low, high in zip(pauses, [0.05, 0.1, 0.2], [0.1, 0.2, 0.4], strict=False)
    )
    assert max(pauses) <= 5.0
    backoff.reset()
    assert backoff.pause() <= 0.1


async def test_changes_that_come_together_wake_once() -> None:
    woken = Signal(0.01)
    for _ in range(5):
        woken.set()
    await woken.wait()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await woken.wait()
    woken.set()
    await woken.wait(at_most=1.0)
