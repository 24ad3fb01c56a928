"""What an API server can make the hub read: bounded, and what was known before stays."""

from __future__ import annotations

import gc
import json
import socket
import ssl
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiohttp import web
from proxy.kube.test_watch import FakeApi, Follower, api, client, failure, until

from gateway.core.rewrite import MAX_PROGRAM_BYTES
from gateway.kube import client as client_module
from gateway.kube import trim
from gateway.kube.capacity import MEMORY_PER_BYTE, Capacity, Kept, weigh
from gateway.kube.client import KubeClient
from gateway.kube.client_config import ClientConfig
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


@pytest.mark.parametrize(
    "body", [b"[" * 60_000, b'{"message": ' + b"[" * 900 + b"]" * 900 + b"}", b"[5]", b'{"reason": 5}']
)
async def test_errors_that_are_no_status(api: FakeApi, client: KubeClient, body: bytes) -> None:
    said = await refused(client, api, lambda _: web.Response(status=500, body=body))
    assert body[:100].decode() in said


async def test_an_answer_without_end(
    api: FakeApi, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_ANSWER_BYTES", 1000)
    api.faults = [answer({"items": [], "more": "x" * 2000})]
    with pytest.raises(TooLong, match="more than 1000 bytes"):
        await client.list(EXPORT)


async def test_connections_that_read_much_are_not_kept(api: FakeApi, client: KubeClient) -> None:
    """With TLS they have half a MiB of buffers from then on, and each of a pool would come to read much."""
    ports: list[int] = []

    def note(request: web.Request) -> web.Response:
        assert request.transport is not None
        ports.append(request.transport.get_extra_info("peername")[1])
        return web.json_response({"metadata": {}, "items": []})

    api.faults = [note] * 6
    await client.may_list(EXPORT)
    await client.list(EXPORT)
    await client.may_list(EXPORT)
    assert [event["type"] async for event in client.watch(EXPORT, None, "1", 10)] == ["OPEN"]
    await client.may_list(EXPORT)
    await client.may_list(EXPORT)
    first, listed, second, watched, third, fourth = ports
    assert first == listed != second == watched != third == fourth


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
    made = Follower(client, capacity=Capacity(trim.MOST_BYTES))
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


def sized(namespace: str, name: str, size: int) -> Any:
    return {"metadata": {"namespace": namespace, "name": name}, "spec": {"text": "x" * size}}


async def test_more_objects_than_there_is_room_for(api: FakeApi, client: KubeClient) -> None:
    """What is known stays, what is new is left out and named, and comes when there is room."""
    made = Follower(client, capacity=Capacity(4 * 700))
    for name in "ab":
        await api.put(name)
    await made.expect({"a": 0, "b": 0})
    await until(lambda: api.open == 1)
    await api.put("b", 1)
    await made.expect({"a": 0, "b": 1})
    assert made.informer.error is None
    for name in "cdef":
        await api.put(name)
    await until(lambda: bool(made.informer.left_out))
    assert "some serviceexports are left out, demo/" in str(made.informer.error)
    known = dict(made.values)
    assert known.items() >= {"a": 0, "b": 1}.items()
    left = {name for _, name in made.informer.left_out}
    assert left == set("cdef") - set(known)
    for name in sorted(known):
        await api.delete(name)
    await until(lambda: not made.informer.left_out)
    await made.expect(dict.fromkeys(sorted(left), 0))
    assert made.informer.error is None
    made.task.cancel()


async def test_a_list_takes_what_is_known_before_what_is_new(api: FakeApi, client: KubeClient) -> None:
    """A new list, with something new in front of what is known and something known that has grown."""
    capacity = Capacity(4 * 700)
    made = Follower(client, capacity=capacity)
    for name in "yz":
        await api.put(name, 1)
    await made.expect({"y": 1, "z": 1})
    await until(lambda: api.open == 1)
    used = capacity.used
    big = {
        "metadata": {"namespace": "demo", "name": "z", "resourceVersion": "9"},
        "spec": {"value": 2, "x": "x" * 3000},
    }
    new = [
        {"metadata": {"namespace": "demo", "name": name}, "spec": {"value": 3, "x": "x" * 900}}
        for name in "ab"
    ]
    known = {"metadata": {"namespace": "demo", "name": "y"}, "spec": {"value": 1}}
    api.faults = [failure(410, "Expired", "too old"), answer([*new, known, big], resourceVersion="9")]
    await api.hang_up()
    await until(lambda: bool(made.informer.left_out))
    assert made.values == {"y": 1, "z": 1}, (
        "the version of before stays where there is no room for the new one"
    )
    assert {name for _, name in made.informer.left_out} == {"a", "b", "z"}
    assert capacity.used <= used
    made.task.cancel()


def test_no_namespace_gets_more_than_half_of_the_room() -> None:
    capacity = Capacity(4000)
    one, other = Kept(capacity), Kept(capacity)
    assert one.take(("greedy", "a"), sized("greedy", "a", 1500))
    assert not other.take(("greedy", "b"), sized("greedy", "b", 600)), "of all kinds together"
    assert other.take(("modest", "c"), sized("modest", "c", 600))
    assert one.take(("", "node"), sized("", "node", 800)), "what has no namespace is nobody's"
    assert not other.take(("third", "d"), sized("third", "d", 600)), "the room is used up"
    assert other.take(("modest", "c"), sized("modest", "c", 10)), "what gets smaller always fits"
    one.drop(("greedy", "a"))
    one.keep_only({})
    other.drop(("modest", "c"))
    assert (capacity.used, one.weight, other.weight) == (0, 0, 0)


def test_what_is_remembered_of_what_is_left_out_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.kube.capacity.MOST_LEFT_OUT", 2)
    kept = Kept(Capacity(10))
    for name in "abc":
        assert not kept.take(("n", name), sized("n", name, 10_000))
    assert sorted(kept.left_out) == [("n", "a"), ("n", "b")]
    assert all("spec" not in obj for obj in kept.left_out.values())
    huge = sized("n", "a", 1)
    huge["metadata"]["labels"] = {"x": "y" * 5000}
    kept.take(("n", "a"), huge)
    assert kept.left_out["n", "a"]["metadata"] == {
        "name": "a",
        "namespace": "n",
        "uid": None,
        "generation": None,
    }


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
    assert weigh({"spec": nested}, 1000) > 1000


def test_what_is_kept_of_objects_of_the_own_cluster() -> None:
    """Huge annotations cost nothing, what routes stays."""
    ours = {"multicluster.flomesh.io/service-ports": "{}", "dapr.io/app-id": "a"}
    metadata = {
        "namespace": "demo", "name": "app", "uid": "u", "managedFields": [1], "labels": {"l": "m"},
        "finalizers": ["f"], "ownerReferences": [{"name": "o"}],
        "annotations": {"note": "x" * 250_000, **ours},
    }  # fmt: skip
    kept = {
        "namespace": "demo", "name": "app", "uid": "u", "labels": {"l": "m"}, "finalizers": ["f"],
        "ownerReferences": [{"name": "o"}], "annotations": ours,
    }  # fmt: skip
    spec = {"ports": [{"port": 80, "targetPort": "http"}], "selector": {"a": "b"}}
    service = {"kind": "Service", "metadata": metadata, "spec": spec, "status": {"loadBalancer": {}}}
    assert trim.own(service) == {"kind": "Service", "metadata": kept, "spec": spec}
    export = {"kind": "ServiceExport", "metadata": metadata, "spec": {}, "status": {"conditions": []}}
    assert trim.own(export) == {**export, "metadata": kept}
    endpoint = {"addresses": ["10.0.0.1"], "conditions": {"ready": True}}
    raw = {
        "kind": "EndpointSlice",
        "metadata": metadata,
        "endpoints": [{**endpoint, "targetRef": {"name": "p"}}],
    }
    assert trim.own(raw) == {**raw, "metadata": kept, "endpoints": [endpoint]}
    assert trim.own({"metadata": {}, "endpoints": None}) == {"metadata": {}, "endpoints": None}
    names = {"namespace": "demo", "name": "app", "uid": "u", "labels": {"l": "m"}}
    assert trim.labelled({"metadata": metadata, "spec": {}}) == {"metadata": names}


def test_a_pattern_that_takes_much_memory_weighs_as_much() -> None:
    def weight(source: str) -> int:
        return weigh({"spec": {"pathRewrite": {"from": source, "to": "/"}}}, 1 << 20)

    assert weight("^/shop/?") < 2000, "thousands of them fit in"
    assert weight("." * 20) * MEMORY_PER_BYTE > MAX_PROGRAM_BYTES


def _reset_all(listener: socket.socket) -> None:
    """Take connections, and reset each at once, until the listener is closed."""
    with suppress(OSError):
        while True:
            taken, _ = listener.accept()
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            taken.close()


def test_a_server_that_resets_connections_costs_no_descriptor_of_others() -> None:
    """With the gateway's own event loop: a second close would hit whoever has the number by then."""

    async def ask(port: int) -> None:
        config = ClientConfig(server=f"https://127.0.0.1:{port}", ssl=ssl.create_default_context())
        async with KubeClient(config, field_manager="test") as client:
            for _ in range(50):
                with pytest.raises(KubeError):
                    await client.may_list(EXPORT)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_reset_all, args=(listener,))
        thread.start()
        counts = []
        for _ in range(2):
            uvloop.run(ask(listener.getsockname()[1]))
            gc.collect()  # a socket that closes what is no longer its own warns, and warnings are errors here
            counts.append(len(list(Path("/proc/self/fd").iterdir())))
        assert counts[0] == counts[1], "no descriptor is left open"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
