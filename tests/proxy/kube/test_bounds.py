"""What an API server can make the hub read: bounded, and what was known before stays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web
from proxy.kube.test_watch import FakeApi, Follower, api, client, failure, until

from gateway.kube import client as client_module
from gateway.kube import trim
from gateway.kube.client import KubeClient
from gateway.kube.errors import KubeError, TooLong
from gateway.kube.resources import EXPORT

__all__ = ["api", "client"]


def answer(body: Any, **meta: Any) -> Any:
    return lambda _: web.json_response(body if not meta else {"metadata": meta, "items": body})


async def refused(client: KubeClient, api: FakeApi, fault: Any) -> str:
    api.faults = [fault]
    with pytest.raises(KubeError) as raised:
        await client.list(EXPORT)
    return str(raised.value)


async def test_answers_that_are_no_list(api: FakeApi, client: KubeClient) -> None:
    assert "did not answer with an object" in await refused(client, api, answer([]))
    assert "something else than a list" in await refused(client, api, answer({"metadata": 5}))
    assert "something else than a list" in await refused(client, api, answer({"items": {"a": 1}}))
    assert "that are no objects" in await refused(client, api, answer({"items": [5]}))
    assert "a token too long" in await refused(client, api, answer([], **{"continue": "x" * 5000}))
    deep = web.Response(body=b"[" * 200_000)
    assert "did not answer in JSON" in await refused(client, api, lambda _: deep)


async def test_an_answer_without_end(
    api: FakeApi, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_ANSWER_BYTES", 1000)
    api.faults = [answer({"items": [], "more": "x" * 2000})]
    with pytest.raises(TooLong, match="more than 1000 bytes"):
        await client.list(EXPORT)


async def test_fewer_objects_are_asked_for_where_a_page_is_too_long(api: FakeApi, client: KubeClient) -> None:
    await api.put("a")
    limits: list[str] = []

    def too_long(request: web.Request) -> web.Response:
        limits.append(request.query["limit"])
        return web.Response(body=b" " * (client_module.MAX_ANSWER_BYTES + 1))

    api.faults = [too_long] * 3
    made = Follower(client)
    await made.expect({"a": 0})
    made.task.cancel()
    assert limits == ["500", "125", "31"]


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([], "empty and not the last one"),
        ([{"metadata": {"namespace": "demo", "name": "a"}, "spec": {"value": 1}}], "repeats itself"),
    ],
)
async def test_a_list_without_end(api: FakeApi, client: KubeClient, items: list[Any], words: str) -> None:
    await api.put("a", 1)
    made = Follower(client, weigh=trim.weigh, most=trim.MOST_BYTES)
    await made.expect({"a": 1})
    await until(lambda: api.open == 1)
    gone = failure(410, "Expired", "too old")
    api.faults = [gone] + [answer(items, resourceVersion="9", **{"continue": "more"})] * 50
    await api.hang_up()
    await until(lambda: made.informer.error is not None and words in str(made.informer.error))
    assert made.values == {"a": 1}, "what is known stays"
    api.faults = []
    await until(lambda: made.informer.error is None)
    made.task.cancel()


async def test_more_objects_than_there_is_room_for(api: FakeApi, client: KubeClient) -> None:
    size = trim.weigh(json.loads(json.dumps({"metadata": {}})))
    made = Follower(client, weigh=lambda _: size, most=2 * size)
    for name in "ab":
        await api.put(name)
    await made.expect({"a": 0, "b": 0})
    await until(lambda: api.open == 1)
    await api.put("b", 1)
    await made.expect({"a": 0, "b": 1})
    await api.put("c")
    await until(lambda: made.informer.error is not None)
    assert (
        str(made.informer.error) == f"the serviceexports are more than the {2 * size} bytes kept of a cluster"
    )
    assert made.values == {"a": 0, "b": 1}
    await api.delete("a")
    await made.expect({"b": 1, "c": 0})
    await api.delete("b")
    await made.expect({"c": 0})
    assert made.informer.error is None
    made.task.cancel()


@pytest.mark.parametrize("line", [b"5", b"[]", b'{"type": "ADDED"}', b'{"object": {}}', b"[" * 200_000])
async def test_watch_events_of_any_shape(api: FakeApi, client: KubeClient, line: bytes) -> None:
    await api.put("a", 1)
    api.faults = [answer([], resourceVersion="1"), lambda _: web.Response(body=line + b"\n")]
    made = Follower(client)
    await until(lambda: not api.faults)
    await made.expect({"a": 1})
    made.task.cancel()


async def test_what_an_event_is_about_is_what_was_asked_for(api: FakeApi, client: KubeClient) -> None:
    """Whoever writes a status or an event needs the kind, and a server may leave it out."""
    said = {"metadata": {"namespace": "demo", "name": "a"}, "spec": {"value": 1}, "kind": ["none"]}
    event = json.dumps({"type": "ADDED", "object": said}).encode()
    api.faults = [answer([], resourceVersion="1"), lambda _: web.Response(body=event + b"\n")]
    made = Follower(client)
    await until(lambda: bool(made.values))
    (kept,) = made.informer.objects.values()
    assert (kept["apiVersion"], kept["kind"]) == (EXPORT.api_version, EXPORT.kind)
    made.task.cancel()


def test_what_the_hub_keeps_of_objects() -> None:
    huge = {"note": "x" * 250_000}
    metadata = {"namespace": "demo", "name": "app", "uid": "u", "annotations": huge, "managedFields": [1]}
    raw = {"metadata": metadata, "spec": {"rules": []}, "kind": "ServiceExport"}
    assert trim.export(raw) == {**raw, "metadata": {"namespace": "demo", "name": "app", "uid": "u"}}
    kept = {"multicluster.flomesh.io/dapr-app-id": "a"}
    annotated = trim.export({**raw, "metadata": {**metadata, "annotations": {**huge, **kept}}})
    assert annotated["metadata"]["annotations"] == kept
    spec = {
        "type": "ClusterIP",
        "selector": {"a": "b"},
        "ports": [{"port": 80, "nodePort": 30000}],
        "clusterIP": "1",
    }
    service = trim.service({"metadata": {**metadata, "labels": {"l": "m"}}, "spec": spec})
    assert service == {
        "metadata": {"namespace": "demo", "name": "app", "uid": "u", "labels": {"l": "m"}},
        "spec": {"type": "ClusterIP", "selector": {"a": "b"}, "ports": [{"port": 80}]},
    }
    names = {"namespace": "demo", "name": "app", "uid": "u"}
    assert trim.namespace({"metadata": metadata, "spec": {}}) == {"metadata": names}
    nested: Any = []
    for _ in range(100_000):
        nested = [nested]
    assert trim.weigh({"spec": nested}) > trim.MOST_BYTES
