"""Between gateways a request goes where its service is, whoever has which path, and outsiders name none."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from gateway.core.export_hosts import HOST
from gateway.core.identity import BY_NAME, BY_PATH, PeersKeys
from gateway.core.published import PUBLISHED
from gateway.core.snapshot import compile_snapshot
from gateway.edge.accesslog import AccessLog

KEYS = PeersKeys((b"1" * 32,))
TOKEN = "Authorization: Bearer secret\r\n"
IDENTITY = "X-Gateway-Service"


class App:
    """An application that keeps what it was sent."""

    def __init__(self, net: Any, ok: Callable[[bytes], bytes], name: str) -> None:
        self.net, self.ok, self.name = net, ok, name
        self.heads: list[bytes] = []

    async def start(self) -> int:
        return int(await self.net.app(self._reply))

    def _reply(self, head: bytes, _body: bytes) -> bytes:
        self.heads.append(head)
        return self.ok(self.name.encode())

    @property
    def targets(self) -> list[bytes]:
        return [head.split(b" ")[1] for head in self.heads]


class Shop:
    """A gateway of cluster c1 that exports shop/shop, and evil/evil beside it."""

    def __init__(self, net: Any, make: Any, ok: Any) -> None:
        self.make, self.net = make, net
        self.shop, self.evil = App(net, ok, "shop"), App(net, ok, "evil")

    async def objects(self, *exports: dict[str, Any]) -> list[dict[str, Any]]:
        found = []
        for app in (self.shop, self.evil):
            port = await app.start()
            found += [self.of(app.name, self.make.service(app.name)),
                      self.of(app.name, self.make.slice("127.0.0.1", name=app.name, port=port))]  # fmt: skip
        return [*found, *exports]

    def of(self, namespace: str, raw: dict[str, Any], created: str = "") -> dict[str, Any]:
        raw["metadata"]["namespace"] = namespace
        if created:
            raw["metadata"]["creationTimestamp"] = created
        return raw

    def export(self, name: str, path: str, kind: str = "Prefix", created: str = "", **spec: Any) -> Any:
        return self.of(name, self.make.export(name, path, kind, **spec), created)

    def calling(self, port: int, path: str = "/shop") -> list[dict[str, Any]]:
        """What a cluster has that imports shop/shop from a gateway at this port."""
        imported = self.of("shop", self.make.imported("shop", path=path, c1=port))
        return [imported, self.of("shop", self.make.policy("ActiveActive", "shop"))]


@pytest.fixture
def shop(net: Any, make: Any, ok: Any) -> Shop:
    return Shop(net, make, ok)


@pytest.mark.parametrize("claim", ["Prefix /shop/login", "Exact /shop/login", "Prefix /shop", "Prefix /"])
@pytest.mark.parametrize("rewrite", [None, {"from": "^/(shop|store)/?", "to": "/"}])
@pytest.mark.parametrize("older", [False, True])
async def test_a_call_by_name_is_not_taken_by_anybodys_path(
    net: Any, shop: Shop, claim: str, rewrite: dict[str, str] | None, older: bool
) -> None:
    """Finding: `http://shop.shop/login`, with its token, went to who exported a longer path."""
    kind, path = claim.split()
    more = {"pathRewrite": rewrite} if rewrite else {}
    exports = [
        shop.export("shop", "/store" if path == "/shop" else "/shop", created="2026-01-02T00:00:00Z", **more),
        shop.export("evil", path, kind, created=f"2026-01-0{1 if older else 3}T00:00:00Z"),
    ]
    # An old import, or one of a hub that was fooled, may still say the path that evil has by now.
    north, _, _ = await net.gateway(*await shop.objects(*exports), cluster="c1", peers=KEYS)
    _, east, _ = await net.gateway(*shop.calling(north), cluster="c2", peers=KEYS)
    status, _, body = await net.ask(east, "/login", "shop.shop", "GET", fields=TOKEN)
    if older and path == "/shop/login":
        assert status == 421, "evil's path was there first: shop is not exported, and nobody gets its calls"
    else:
        assert (status, body, shop.shop.targets) == (200, b"shop", [b"/login"])
        assert b"Bearer secret" in shop.shop.heads[0]
    assert shop.evil.heads == []


@pytest.mark.parametrize("rewrite", [None, {"from": "^/shop/?", "to": "/"}])
async def test_what_is_between_clusters_alone_is_reached_by_other_gateways_and_by_nobody_outside(
    net: Any, shop: Shop, rewrite: dict[str, str] | None
) -> None:
    export = shop.export("shop", "/shop", **({"pathRewrite": rewrite} if rewrite else {}))
    export["metadata"]["annotations"] = {PUBLISHED: "false"}
    north, _, _ = await net.gateway(*await shop.objects(export), cluster="c1", peers=KEYS)
    imports = shop.calling(north)
    imports[0]["spec"]["ports"][0]["endpoints"][0]["frontDoor"] = False
    _, east, _ = await net.gateway(*imports, cluster="c2", peers=KEYS)
    door, _, _ = await net.gateway(*imports, cluster="cp", peers=KEYS, front_door=True)
    assert (await net.ask(east, "/login", "shop.shop"))[::2] == (200, b"shop")
    assert shop.shop.targets == [b"/login"]
    by_path = KEYS.sign("default/default/default/c1", "shop/shop", 3000, BY_PATH).decode()
    for port, target, fields in (
        (north, "/shop/login", ""),
        (north, "/login", ""),
        (door, "/shop/login", ""),
        (north, "/shop/login", f"{IDENTITY}: shop/shop:3000;name;{'0' * 32}\r\n"),
        (north, "/shop/login", f"{IDENTITY}: {by_path}\r\n"),
    ):
        status, _, _ = await net.ask(port, target, "shop.shop", "GET", fields=fields)
        assert status in (404, 421), f"{target} {fields}"
    assert shop.shop.targets == [b"/login"]


async def test_a_path_that_changed_hands_after_the_import_serves_nobody_else(net: Any, shop: Shop) -> None:
    objects = await shop.objects()
    mine, theirs = shop.export("shop", "/shop"), shop.export("evil", "/shop")
    north, _, server = await net.gateway(*objects, mine, cluster="c1", peers=KEYS)
    _, east, _ = await net.gateway(*shop.calling(north), cluster="c2", peers=KEYS)
    door, _, _ = await net.gateway(*shop.calling(north), cluster="cp", peers=KEYS, front_door=True)
    asks = (east, "/x", "shop.shop"), (door, "/shop/x", "anything")
    for port, target, host in asks:
        assert (await net.ask(port, target, host))[::2] == (200, b"shop")
    server.swap(compile_snapshot([*objects, theirs], "default/default/default/c1", peers=KEYS).snapshot)
    assert (await net.ask(north, "/shop/x"))[2] == b"evil", "the path is evil's"
    for port, target, host in asks:
        status, head, _ = await net.ask(port, target, host, fields=TOKEN)
        assert status == 421
        assert b"X-Gateway-Refused: unknown-identity" in head
    assert not any(b"Bearer" in head for head in shop.evil.heads)


async def test_the_front_door_takes_requests_where_it_was_asked_for(net: Any, shop: Shop) -> None:
    """Its table of paths is the hub's; that of the exporter may give a part of the path to somebody else."""
    rewrite = {"from": "^/shop/?", "to": "/"}
    objects = await shop.objects(
        shop.export("shop", "/shop", pathRewrite=rewrite),
        shop.of("shop", shop.make.export("evil", "/shop/a")),
    )
    for raw in objects:
        if raw["metadata"]["name"].startswith("evil"):
            raw["metadata"]["namespace"] = "shop"
    north, _, _ = await net.gateway(*objects, cluster="c1", peers=KEYS)
    door, _, _ = await net.gateway(*shop.calling(north), cluster="cp", peers=KEYS, front_door=True)
    assert (await net.ask(north, "/shop/a"))[2] == b"evil", "paths of one namespace nest"
    assert (await net.ask(door, "/shop/a"))[2] == b"shop", "as the front door's table has it"
    assert shop.shop.targets == [b"/a"]


def fields(*values: bytes) -> str:
    return "".join(f"{IDENTITY}: {value.decode()}\r\n" for value in values)


async def test_who_has_no_key_names_no_service(net: Any, shop: Shop, make: Any) -> None:
    north, east, _ = await net.gateway(
        *await shop.objects(shop.export("shop", "/shop"), shop.export("evil", "/evil")), *shop.calling(1),
        cluster="c1", peers=KEYS,
    )  # fmt: skip
    here = make.key("c1"), "shop/shop", 3000, BY_NAME
    real = KEYS.sign(*here)
    unknown = [
        fields(b""), fields(b"shop/shop:3000"), fields(b"shop/shop:3000;name;" + b"0" * 32),
        fields(real, real), fields(real.upper()), fields(real + b"; x"),
        fields(PeersKeys((b"2" * 32,)).sign(*here)), fields(KEYS.sign(make.key("c2"), *here[1:])),
        fields(real.replace(b"shop/shop", b"evil/evil")), fields(real.replace(b"name", b"path")),
    ]  # fmt: skip
    for field in unknown:
        status, head, _ = await net.ask(north, "/shop/x", fields=field)
        assert status == 421, field
        assert b"X-Gateway-Refused: unknown-identity" in head
        status, head, _ = await net.ask(north, "/shop/x", fields=field + "X-Gateway-Probe: 1\r\n")
        assert status == 421, field
    for field in [*unknown, fields(real)]:
        status, _, _ = await net.ask(east, "/x", "shop.shop", fields=field)
        assert status == 421, "callers inside a cluster are no gateways"
    assert (shop.shop.heads, shop.evil.heads) == ([], [])
    assert (await net.ask(north, "/shop/x", fields=fields(real)))[2] == b"shop", (
        "a gateway of a peer is served"
    )
    assert (await net.ask(north, "/shop/x", fields=f"Connection: {IDENTITY}\r\n"))[0] == 400


async def test_no_application_and_no_other_cluster_ever_gets_the_value(
    net: Any, shop: Shop, make: Any
) -> None:
    north, _, _ = await net.gateway(
        *await shop.objects(shop.export("shop", "/shop")), cluster="c1", peers=KEYS
    )
    _, east, _ = await net.gateway(*shop.calling(north), cluster="c2", peers=KEYS)
    assert (await net.ask(east, "/x", "shop.shop"))[0] == 200
    real = KEYS.sign(make.key("c1"), "shop/shop", 3000, BY_PATH)
    assert (await net.ask(north, "/shop/x", fields=fields(real)))[0] == 200
    trailer = (
        b"POST /shop/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"1\r\na\r\n0\r\nX-Gateway-Service: " + real + b"\r\n\r\n"
    )
    assert (await net.talk(north, trailer)).startswith(b"HTTP/1.1 200 ")
    assert len(shop.shop.heads) == 3
    assert not any(b"x-gateway-service" in head.lower() for head in shop.shop.heads)


async def test_a_gateway_without_a_key_goes_by_path_as_fsm_does(net: Any, shop: Shop) -> None:
    rewrite = {"from": "^/shop/?", "to": "/"}
    objects = await shop.objects(shop.export("shop", "/shop", pathRewrite=rewrite))
    for peers in (PeersKeys(), KEYS):
        north, _, _ = await net.gateway(*objects, cluster="c1", peers=peers)
        _, east, _ = await net.gateway(*shop.calling(north), cluster="c2")
        assert (await net.ask(east, "/x", "shop.shop"))[::2] == (200, b"shop")
    assert shop.shop.targets == [b"/x", b"/x"]
    north, _, _ = await net.gateway(*objects, cluster="c1")
    _, east, _ = await net.gateway(*shop.calling(north), cluster="c2", peers=KEYS)
    assert (await net.ask(east, "/x", "shop.shop"))[0] == 421, "one of the two has none"


async def test_without_a_shared_key_the_request_goes_elsewhere_and_that_is_said(net: Any, shop: Shop) -> None:
    objects = await shop.objects(shop.export("shop", "/shop"))
    reading, writing = os.pipe()
    other, _, server = await net.gateway(
        *objects, cluster="c3", peers=PeersKeys((b"2" * 32,)), access_log=AccessLog(writing)
    )
    good, _, _ = await net.gateway(*objects, cluster="c1", peers=KEYS)
    imported = shop.of("shop", shop.make.imported("shop", path="/shop", c1=good, c3=other))
    policy = shop.of("shop", shop.make.policy("ActiveActive", "shop", c1=1, c3=100))
    _, east, _ = await net.gateway(imported, policy, cluster="c2", peers=KEYS)
    for _ in range(4):
        assert (await net.ask(east, "/x", "shop.shop", "POST", b"order"))[::2] == (200, b"shop")
    refused = server.registry.runtime.metrics.answers[421, "unknown-identity"]
    assert refused >= 1
    await server.drain(0.05)
    os.close(writing)
    lines = [json.loads(line) for line in os.read(reading, 1 << 16).splitlines()]
    os.close(reading)
    assert {(line["status"], line["reason"], line["service"]) for line in lines} == {
        (421, "unknown-identity", None)
    }


async def test_health_checks_ask_for_the_service(net: Any, shop: Shop) -> None:
    objects = await shop.objects(shop.export("shop", "/shop"))
    north, _, server = await net.gateway(*objects, cluster="c1", peers=KEYS)
    _, east, asking = await net.gateway(*shop.calling(north), cluster="c2", peers=KEYS)
    assert (await net.ask(east, "/x", "shop.shop"))[0] == 200
    (health,) = [health for health in asking.registry.health.values() if health.endpoint.port == north]
    await net.until(lambda: health.marks)
    assert not health.down
    server.swap(compile_snapshot(objects[:-1], "default/default/default/c1", peers=KEYS).snapshot)
    await net.until(lambda: health.down)
    server.swap(compile_snapshot(objects, "default/default/default/c1", peers=KEYS).snapshot)
    await net.until(lambda: not health.down)


async def test_an_export_by_sidecar_is_reached_through_it_by_name_too(net: Any, shop: Shop, ok: Any) -> None:
    sidecar = App(net, ok, "sidecar")
    rewrite = {"from": "^/shop/?", "to": "/"}
    annotations = {
        "multicluster.flomesh.io/dapr-app-id": "orders", "multicluster.flomesh.io/dapr-invoke": "sidecar",
    }  # fmt: skip
    for more in ({}, {"pathRewrite": rewrite}):
        export = shop.export("shop", "/shop", **more)
        export["metadata"]["annotations"] = annotations
        sidecars = [
            shop.of("multicluster-system", shop.make.service("dapr-sidecars", {3500: "http"})),
            shop.of("multicluster-system",
                    shop.make.slice("127.0.0.1", name="dapr-sidecars", port=await sidecar.start())),
        ]  # fmt: skip
        north, _, _ = await net.gateway(*await shop.objects(export), *sidecars, cluster="c1", peers=KEYS)
        _, east, _ = await net.gateway(*shop.calling(north), cluster="c2", peers=KEYS)
        door, _, _ = await net.gateway(*shop.calling(north), cluster="cp", peers=KEYS, front_door=True)
        assert (await net.ask(east, "/x", "shop.shop"))[2] == b"sidecar"
        assert (await net.ask(door, "/shop/x"))[2] == b"sidecar"
        assert (await net.ask(east, "*", "shop.shop", "OPTIONS"))[0] in {200, 400}
    method = b"/v1.0/invoke/orders.shop/method"
    assert all(target.startswith(method + b"/") for target in sidecar.targets)
    plain = [target.removeprefix(method) for target in sidecar.targets if not target.endswith(b"*")]
    assert plain == [b"/x", b"/shop/x", b"/x", b"/x"]
    assert shop.shop.heads == []


async def test_a_host_of_an_export_is_asked_for_in_any_form_of_request(net: Any, shop: Shop) -> None:
    mine = shop.export("shop", "/")
    mine["metadata"]["annotations"] = {HOST: "shop.example.com"}
    objects = await shop.objects(mine, shop.export("evil", "/evil"))
    north, _, _ = await net.gateway(*objects, cluster="c1", peers=KEYS)
    _, east, _ = await net.gateway(*shop.calling(north, "/"), cluster="c2", peers=KEYS)
    hosted = "shop.example.com"
    for target, host, body in (
        ("/x", f"{hosted}:8080", b"shop"), (f"http://{hosted}/x", "other", b"shop"),
        ("/evil", hosted, b"shop"), ("/evil", "x", b"evil"), ("http://x/evil", hosted, b"evil"),
        ("/x", "x", b"Service Not Found"),
    ):  # fmt: skip
        assert (await net.ask(north, target, host))[2] == body, (target, host)
    assert (await net.talk(north, b"GET /x HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 404 ")
    assert (await net.ask(east, "/x", "shop.shop"))[2] == b"shop", "by name it is called as ever"
