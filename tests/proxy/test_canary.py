"""Canaries over sockets: by weight and by header, within a cluster and across clusters, for every caller."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from typing import Any

from gateway.core.header_match import BACKEND_REFS, MATCH
from gateway.core.identity import PeersKeys
from gateway.edge.accesslog import AccessLog
from gateway.kube.follower import RESOURCES, relevant
from gateway.kube.resources import SLICE
from tests.harness.ports import free_ports

KEYS = PeersKeys((b"1" * 32,))
CANARY = {"headers": [{"name": "x-canary", "value": "true"}]}
MARKED = "X-Canary: true\r\n"
BY_NAME, BY_CLUSTER_SET = "app.demo:3000", "app-clusterset.demo.svc.cluster.local:3000"
"""As callers say the derived Service, and as Dapr's sidecars do for an app-id (its HTTPEndpoint)."""


class Shop:
    """Two clusters that export demo/app; in the first it shares its requests with demo/canary."""

    def __init__(self, net: Any, make: Any, ok: Callable[..., bytes]) -> None:
        self.net, self.make, self.ok = net, make, ok
        self.doors: dict[str, int] = {}

    async def open(self, *refs: dict[str, Any]) -> None:
        for name in ("c1", "c2"):
            objects = [self.make.service(), await self.pod(f"{name} app"), self.make.export()]
            if name == "c1":
                objects += [self.make.service("canary"), await self.pod("c1 canary", "canary")]
                objects[2]["metadata"]["annotations"] = {BACKEND_REFS: json.dumps(refs)}
            self.doors[name], _, _ = await self.net.gateway(*objects, cluster=name, peers=KEYS)

    async def pod(self, says: str, service: str = "app") -> Any:
        port = await self.net.app(lambda _head, _body: self.ok(says.encode()))
        return self.make.slice("127.0.0.1", name=service, port=port)

    async def caller(self, policy: Any, *more: Any, **options: Any) -> Any:
        """A gateway of a cluster that imports the service: its ports, and the server."""
        imported = self.make.imported(**self.doors)
        return await self.net.gateway(imported, policy, *more, peers=KEYS, **options)

    async def served(self, count: int, port: int, target: str, host: str, fields: str = "") -> dict[str, int]:
        counted: Counter[str] = Counter()
        for _ in range(count):
            status, _, body = await self.net.ask(port, target, host=host, fields=fields)
            counted[body.decode() if status == 200 else str(status)] += 1
        return dict(counted)


def matching(policy: Any, key: str) -> Any:
    policy["metadata"]["annotations"] = {MATCH: json.dumps({key: CANARY})}
    return policy


APP, BESIDE = {"name": "app", "weight": 19}, {"name": "canary", "weight": 1}


async def test_every_caller_meets_the_canary_by_header_and_by_weight(net: Any, make: Any, ok: Any) -> None:
    shop = Shop(net, make, ok)
    await shop.open(APP)
    (service_port,) = free_ports(1)
    policy = matching(make.policy("ActiveActive", c1=19, c2=1), make.key("c2"))
    door, east, _ = await shop.caller(
        policy, make.gateway_slice({service_port: 3000}), front_door=True,
        service_ports=range(service_port, service_port + 1),
    )  # fmt: skip
    callers = [
        (door, "/app", "front.example.com"), (east, "/", BY_NAME), (east, "/", BY_CLUSTER_SET),
        (service_port, "/", "whatever"),
    ]  # fmt: skip
    marked = [await shop.served(10, *caller, fields=MARKED) for caller in callers]
    assert marked == [{"c2 app": 10}] * len(callers)
    assert await shop.served(40, *callers[0]) == {"c1 app": 38, "c2 app": 2}
    assert await shop.served(40, *callers[1]) == {"c1 app": 38, "c2 app": 2}


async def test_a_canary_within_a_cluster_serves_callers_everywhere(net: Any, make: Any, ok: Any) -> None:
    shop = Shop(net, make, ok)
    await shop.open(APP, {**BESIDE, "match": CANARY})
    door, east, _ = await shop.caller(make.policy("ActiveActive", c1=1), front_door=True)
    own = (shop.doors["c1"], "/app", "x")
    assert await shop.served(40, *own) == {"c1 app": 38, "c1 canary": 2}
    for caller in (own, (door, "/app", "x"), (east, "/", BY_NAME), (east, "/", BY_CLUSTER_SET)):
        assert await shop.served(5, *caller, fields=MARKED) == {"c1 canary": 5}
    assert await shop.served(40, east, "/", BY_NAME) == {"c1 app": 38, "c1 canary": 2}


async def test_requests_on_one_connection_are_told_apart(net: Any, make: Any, ok: Any) -> None:
    shop = Shop(net, make, ok)
    await shop.open({"name": "app"}, {"name": "canary", "weight": 0, "match": CANARY})
    reader, writer = await net.connect(shop.doors["c1"])
    bodies = []
    for fields in ("", MARKED, "X-Canary: false\r\n", MARKED, ""):
        writer.write(f"GET /app HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode())
        bodies.append((await net.answer(reader))[2])
    assert bodies == [b"c1 app", b"c1 canary", b"c1 app", b"c1 canary", b"c1 app"]


async def test_a_canary_that_breaks_costs_its_callers_nothing(net: Any, make: Any, ok: Any) -> None:
    """The stable version stands in, in the same cluster, and across clusters."""
    shop = Shop(net, make, ok)
    await shop.open({"name": "app"})
    shop.doors["c2"] = net.dead_port()
    _, east, _ = await shop.caller(matching(make.policy("ActiveActive", c1=19, c2=1), make.key("c2")))
    assert await shop.served(5, east, "/", BY_NAME, MARKED) == {"c1 app": 5}
    gone = make.slice("127.0.0.1", name="canary", port=net.dead_port())
    export = make.export()
    refs = [APP, {**BESIDE, "match": CANARY}]
    export["metadata"]["annotations"] = {BACKEND_REFS: json.dumps(refs)}
    objects = [make.service(), make.service("canary"), await shop.pod("stable"), gone, export]
    port, _, _ = await net.gateway(*objects)
    assert await shop.served(40, port, "/app", "x") == {"stable": 40}
    assert await shop.served(5, port, "/app", "x", MARKED) == {"stable": 5}


async def test_the_log_says_that_it_matched(net: Any, make: Any, ok: Any) -> None:
    reading, writing = os.pipe()
    shop = Shop(net, make, ok)
    await shop.open({"name": "app"})
    policy = matching(make.policy("ActiveActive", c1=1, c2=0), make.key("c2"))
    _, east, server = await shop.caller(policy, access_log=AccessLog(writing))
    assert await shop.served(1, east, "/", BY_NAME, MARKED) == {"c2 app": 1}
    assert await shop.served(1, east, "/", BY_NAME) == {"c1 app": 1}
    await server.drain(0.1)
    os.close(writing)
    with os.fdopen(reading, encoding="ascii") as lines:
        found = [(line["cluster"], line["reason"]) for line in map(json.loads, lines)]
    assert found == [(make.key("c2"), "match"), (make.key("c1"), "weight")]


def test_a_gateway_follows_the_backends_of_exports_and_no_other_services(make: Any) -> None:
    def followed(annotation: str) -> set[tuple[str, str]]:
        export = make.export()
        export["metadata"]["annotations"] = {BACKEND_REFS: annotation}
        names = ("app", "canary", "other")
        objects = [export, *map(make.service, names), *(make.slice("10.0.0.1", name=name) for name in names)]
        taken: dict[str, dict[Any, Any]] = {one.kind: {} for one in RESOURCES}
        for number, obj in enumerate(objects):
            key = obj["metadata"]["name"] if obj["kind"] != SLICE.kind else str(number)
            taken[obj["kind"]][obj["metadata"]["namespace"], key] = obj
        found = relevant(taken)
        assert [one["kind"] for one in found].count(SLICE.kind) == len(found) // 2
        return {(one["kind"], one["metadata"]["name"]) for one in found if one["kind"] == "Service"}

    both = json.dumps([{"name": "app"}, {"name": "canary"}, {"name": "gone"}])
    assert followed(both) == {("Service", "app"), ("Service", "canary")}
    assert followed("nonsense") == {("Service", "app")}
