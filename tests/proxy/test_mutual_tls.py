"""Mutual TLS between gateways on real sockets: who is let in, who is not, and what changes under way."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.core.certificates import Leaf, fingerprint
from gateway.core.identity import BY_NAME, BY_PATH, NO_KEYS, PeersKeys, named
from gateway.core.issuing import Issuer, issue, make_root
from gateway.core.peers import MutualTls
from gateway.core.snapshot import compile_snapshot
from gateway.edge.accesslog import AccessLog
from gateway.edge.contexts import PeerTls, usable_until
from gateway.edge.dialled import Dialled
from gateway.edge.registry import pool_of
from gateway.edge.server import GatewayServer
from gateway.edge.upstream import REUSE_SECONDS, UNUSABLE_AT_ONCE, Pool

KEYS = PeersKeys((b"1" * 32,))
NAMED = named("demo/app", 3000, BY_NAME)
REFUSED = 403
Raw = dict[str, Any]


def now() -> datetime:
    return datetime.now(UTC)


async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        sink.write(data)


class Member:
    """A cluster: its CA, its gateways' certificate, and its gateway once it runs."""

    server: GatewayServer
    north: int
    east: int
    objects: list[Raw]

    def __init__(self, net: Any, make: Any, name: str, mode: MutualTls) -> None:
        self.net, self.make, self.name, self.mode = net, make, name, mode
        self.key = str(make.key(name))
        self.root = make_root(self.key, now())
        self.leaf = issue(self.root, self.key, now())

    async def start(self, *objects: Raw, **more: Any) -> None:
        self.objects = list(objects)
        # A handshake is work, for which a busy machine takes its time.
        patient = {"connect_seconds": 30.0, "head_seconds": 30.0}
        self.north, self.east, self.server = await self.net.gateway(
            *objects, cluster=self.name, certificate=self.leaf, mutual_tls=self.mode, **(patient | more)
        )

    @property
    def peers(self) -> int:
        return int(self.server.addresses["peers"][1])

    def peer(self, port: int = 0, *roots: Issuer) -> Raw:
        """What others know of it."""
        spec: Raw = {
            "clusterKey": self.key, "roots": [root.pem.decode() for root in roots or (self.root,)],
        }  # fmt: skip
        if port:
            spec["gateway"] = {"ip": "127.0.0.1", "port": port}
        return {"kind": "Peer", "metadata": {"name": self.name}, "spec": spec}

    def swap(self, *objects: Raw, peers: PeersKeys = NO_KEYS) -> None:
        self.objects = list(objects)
        compiled = compile_snapshot(objects, self.key, mutual_tls=self.mode, peers=peers)
        self.server.swap(compiled.snapshot)

    def answers(self) -> dict[tuple[int, str], int]:
        return self.server.registry.runtime.metrics.answers

    def pool(self) -> Pool:
        """Connections to the only other gateway that it asks over TLS."""
        (health,) = [one for one in self.server.registry.health.values() if one.endpoint.peer]
        return pool_of(health)

    def handshakes(self) -> dict[tuple[str, str], int]:
        return self.server.registry.runtime.peer_tls.handshakes


class World:
    """c1 exports demo/app, c2 imports it; both know each other."""

    def __init__(self, net: Any, make: Any, ok: Callable[..., bytes], mode: MutualTls) -> None:
        self.net, self.make, self.ok = net, make, ok
        self.c1, self.c2 = Member(net, make, "c1", mode), Member(net, make, "c2", mode)
        self.heads: list[bytes] = []

    async def start(self, port: int = 0, export: Raw | None = None, **more: Any) -> None:
        app = await self.net.app(self._reply)
        self.exported = [
            self.make.service(), self.make.slice("127.0.0.1", port=app), export or self.make.export(),
        ]  # fmt: skip
        await self.c1.start(*self.exported, self.c2.peer(), **more)
        self.imported = [self.make.imported(c1=port or self.c1.north), self.make.policy("ActiveActive")]
        await self.c2.start(*self.imported, self.c1.peer(self.c1.peers), **more)

    def _reply(self, head: bytes, body: bytes) -> bytes:
        self.heads.append(head)
        return self.ok(body or b"app")

    async def call(self, target: str = "/x", method: str = "GET", body: bytes = b"", fields: str = "") -> Any:
        """A call by the Service's name in c2."""
        return await self.net.ask(self.c2.east, target, "app.demo", method, body, fields)

    async def dial(
        self, leaf: Leaf | None, tmp_path: Path, head: bytes = b"", root: Issuer | None = None
    ) -> bytes:
        """What a client with this certificate gets at c1's port for gateways; nothing when not let in."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(cadata=(root or self.c1.root).pem.decode())
        context.set_alpn_protocols(["http/1.1"])
        if leaf is not None:
            file = tmp_path / "client.pem"
            file.write_bytes(leaf.key + leaf.chain)
            context.load_cert_chain(file)
        head = (
            head
            or b"GET /x HTTP/1.1\r\nHost: x\r\nX-Gateway-Service: %b\r\nConnection: close\r\n\r\n" % NAMED
        )
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.c1.peers, ssl=context)
            writer.write(head)
            async with asyncio.timeout(10):
                answer = await reader.read()
        except OSError:  # by an alert
            return b""
        writer.close()
        return answer


@pytest.fixture
async def world(net: Any, make: Any, ok: Any) -> World:
    return World(net, make, ok, MutualTls.STRICT)


async def test_a_call_goes_over_tls_and_the_application_learns_which_cluster_asks(world: World) -> None:
    await world.start()
    status, _, body = await world.call(
        fields="X-Gateway-Client-Cluster: forged\r\nX_Gateway_Client-Cluster: y\r\n"
    )
    assert (status, body) == (200, b"app")
    (head,) = world.heads
    assert head.split(b" ")[1] == b"/x"
    assert head.lower().count(b"client-cluster") == 1
    assert b"\r\nX-Gateway-Client-Cluster: default/default/default/c2\r\n" in head
    assert b"x-gateway-service" not in head.lower()
    for _ in range(20):
        assert (await world.call())[0] == 200
    assert world.c1.handshakes() == {("accepted", "ok"): 1}, "one connection serves them all"
    assert world.c2.handshakes() == {("dialled", "ok"): 1}


async def test_the_front_door_passes_for_no_cluster(world: World) -> None:
    """Anybody may ask there: what it brings is not its cluster's word."""
    await world.start()
    door = Member(world.net, world.make, "cp", MutualTls.STRICT)
    world.c1.swap(*world.c1.objects, door.peer())
    await door.start(*world.imported, world.c1.peer(world.c1.peers), front_door=True)
    assert (await world.net.ask(door.north, "/app/x"))[::2] == (200, b"app")
    assert b"client-cluster" not in world.heads[0].lower()


@pytest.mark.parametrize("size", [0, 1, 16 * 1024, 5_000_000])
async def test_bodies_of_any_size_go_through_both_ways(world: World, size: int) -> None:
    await world.start()
    body = os.urandom(size)
    status, _, answer = await world.call(method="POST", body=body)
    assert (status, answer) == (200, body or b"app")


async def test_nobody_reads_what_goes_between_clusters(world: World, net: Any) -> None:
    seen = bytearray()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward_writer = await net.connect(world.c1.peers)

        async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                seen.extend(data)
                sink.write(data)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pass_on(reader, onward_writer))
            tasks.create_task(pass_on(onward_reader, writer))

    await world.start()
    port = await net.server(carry)
    world.c2.swap(*world.imported, world.c1.peer(port))
    marked = b"a marked body that nobody reads"
    assert (await world.call("/marked-target", "POST", marked))[::2] == (200, marked)
    assert len(seen) > 1000
    assert not any(secret in seen for secret in (b"marked", b"HTTP", b"demo/app"))


async def test_who_has_no_certificate_of_a_known_cluster_is_not_let_in(world: World, tmp_path: Path) -> None:
    """Without one, of a foreign CA, self-made, ended, and of a CA that names another cluster than its own."""
    await world.start()
    stranger = Member(world.net, world.make, "c9", MutualTls.STRICT)
    foreign = make_root(world.c2.key, now())
    ended = issue(world.c2.root, world.c2.key, now() - timedelta(hours=3), timedelta(hours=1))
    early = issue(world.c2.root, world.c2.key, now() + timedelta(hours=3))
    other = issue(world.c2.root, stranger.key, now())
    for leaf in (None, stranger.leaf, issue(foreign, world.c2.key, now()), ended, early, other):
        assert await world.dial(leaf, tmp_path) == b""
    assert world.heads == []
    assert await world.dial(world.c2.leaf, tmp_path), "and c2 is"
    assert len(world.heads) == 1
    refused = {key: count for key, count in world.c1.handshakes().items() if key[1] != "ok"}
    assert sum(refused.values()) == 6
    assert set(refused) == {
        ("accepted", "peer-did-not-return-a-certificate"), ("accepted", "certificate-verify-failed"),
    }  # fmt: skip


@pytest.mark.parametrize("ahead", [-1.0, 1.0])
async def test_a_clock_that_is_an_hour_off_costs_no_call(world: World, ahead: float) -> None:
    """Of c2, whose certificates c1 looks at, and which looks at those of c1: both were made just now."""
    for member, hours in ((world.c2, ahead), (world.c1, -ahead)):
        made = now() + timedelta(hours=hours)
        member.root = make_root(member.key, made)
        member.leaf = issue(member.root, member.key, made)
    await world.start()
    for _ in range(3):
        assert (await world.call(method="POST", body=b"order"))[0] == 200
    assert set(world.c1.handshakes()) == {("accepted", "ok")}


async def test_a_clock_that_is_further_off_is_named_by_both_ends(world: World, tmp_path: Path) -> None:
    """Till it is set right, and the certificate made again."""
    await world.start()
    early = issue(world.c2.root, world.c2.key, now() + timedelta(hours=3))
    world.c2.server.set_certificate(early)
    assert (await world.call(method="POST", body=b"order"))[0] == 502
    assert await world.dial(early, tmp_path) == b""
    assert world.heads == []
    assert set(world.c1.handshakes()) == {("accepted", "certificate-verify-failed")}
    world.c2.server.set_certificate(world.c2.leaf)
    assert (await world.call())[0] == 200


async def test_a_chain_that_has_ended_refuses_calls_until_there_is_another_one(world: World) -> None:
    """An ended certificate of a root that counts, and a certificate that ended with its root."""
    await world.start()
    before = now() - timedelta(days=3)
    ended_root = make_root(world.c2.key, before, timedelta(days=2))
    ended = issue(world.c2.root, world.c2.key, before, timedelta(days=1))
    for root, leaf in ((world.c2.root, ended), (ended_root, issue(ended_root, world.c2.key, before))):
        world.c1.swap(*world.exported, world.c2.peer(0, root))
        world.c2.server.set_certificate(leaf)
        assert (await world.call(method="POST", body=b"order"))[0] == 502
        assert world.c2.server.registry.runtime.peer_tls.describe()["certificate"] is False
    assert set(world.c1.handshakes()) == {("accepted", "certificate-verify-failed")}
    assert world.heads == []
    world.c1.swap(*world.exported, world.c2.peer())
    world.c2.server.set_certificate(world.c2.leaf)
    assert (await world.call())[0] == 200, "nothing was restarted"


async def test_a_compromised_member_speaks_for_no_other(world: World, tmp_path: Path) -> None:
    """Its CA issues in another's name, with and without the constraint; a CA of its own below it does."""
    await world.start()
    third = Member(world.net, world.make, "c3", MutualTls.STRICT)
    world.c1.swap(*world.exported, world.c2.peer(), third.peer())
    forged = issue(third.root, world.c2.key, now())
    assert await world.dial(forged, tmp_path) == b""
    assert (await world.dial(third.leaf, tmp_path)).startswith(b"HTTP/1.1 200 "), "c3 is itself"


async def test_plaintext_at_the_port_for_gateways_gets_nothing(world: World) -> None:
    await world.start()
    assert b"HTTP" not in await world.net.talk(world.c1.peers, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert world.heads == []


async def test_strict_gateways_serve_no_other_over_plain_http(world: World) -> None:
    await world.start(peers=KEYS)
    value = KEYS.sign(world.c1.key, "demo/app", 3000, BY_NAME).decode()
    for field in (value, NAMED.decode()):
        status, head, _ = await world.net.ask(
            world.c1.north, "/app", fields=f"X-Gateway-Service: {field}\r\n"
        )
        assert (status, b"unknown-identity" in head) == (421, True)
    assert (await world.net.ask(world.c1.north, "/app/x"))[0] == 200, "what is published is"
    world.c2.swap(*world.imported)
    assert (await world.call())[0] == 503, "who says no port for TLS is not asked"


async def test_permissive_gateways_take_both_and_ask_who_can_over_tls(net: Any, make: Any, ok: Any) -> None:
    world = World(net, make, ok, MutualTls.PERMISSIVE)
    await world.start(peers=KEYS)
    value = KEYS.sign(world.c1.key, "demo/app", 3000, BY_NAME).decode()
    field = f"X-Gateway-Service: {value}\r\n"
    assert (await net.ask(world.c1.north, "/x", fields=field))[2] == b"app"
    field = f"X-Gateway-Service: {NAMED.decode()}\r\n"
    assert (await net.ask(world.c1.north, "/x", fields=field))[0] == 421, (
        "without a certificate the tag counts"
    )
    assert (await world.call())[0] == 200
    assert world.c1.handshakes() == {("accepted", "ok"): 1}
    world.c2.swap(*world.imported, peers=KEYS)
    assert (await world.call())[0] == 200
    assert world.c1.handshakes() == {("accepted", "ok"): 1}, "c1 does not say that it listens: plain HTTP"
    assert b"client-cluster" not in world.heads[-1].lower(), "whose word nobody could check"


async def test_when_all_others_ask_over_tls_the_plain_port_serves_no_gateways(
    net: Any, make: Any, ok: Any
) -> None:
    world = World(net, make, ok, MutualTls.PERMISSIVE)
    await world.start(peers=KEYS)
    value = KEYS.sign(world.c1.key, "demo/app", 3000, BY_NAME).decode()
    field = f"X-Gateway-Service: {value}\r\n"
    labels = {"app.kubernetes.io/managed-by": "multicluster-controller"}
    own = {**world.c1.peer(), "metadata": {"name": "c1", "labels": labels}, "status": {"tlsAlone": True}}

    async def served() -> tuple[int, bool]:
        status, _, _ = await net.ask(world.c1.north, "/x", fields=field)
        (_, _, page) = await net.ask(world.c1.server.addresses["admin"][1], "/peers")
        return status, json.loads(page)["plain"]

    assert await served() == (200, True)
    world.c1.swap(*world.exported, world.c2.peer(), own, peers=KEYS)
    assert await served() == (421, False)
    assert (await world.call())[0] == 200, "over TLS"
    assert (await net.ask(world.c1.north, "/app/x"))[0] == 200, "what is published is served to everybody"
    world.c1.mode = MutualTls.ACCEPT
    world.c1.swap(*world.exported, world.c2.peer(), own, peers=KEYS)
    assert await served() == (200, True), "on the way back it is open before others are told to use it"


async def test_on_the_way_back_gateways_ask_over_tls_who_still_says_that_it_listens(
    net: Any, make: Any, ok: Any
) -> None:
    """For that one may serve gateways in no other way yet; and none is asked so when it listens no more."""
    world = World(net, make, ok, MutualTls.ACCEPT)
    await world.start(peers=KEYS)
    world.c2.swap(*world.imported, world.c1.peer(world.c1.peers), peers=KEYS)
    assert (await world.call())[0] == 200
    assert world.c1.handshakes() == {("accepted", "ok"): 1}
    assert b"X-Gateway-Client-Cluster: default/default/default/c2\r\n" in world.heads[-1]
    world.c2.swap(*world.imported, world.c1.peer(), peers=KEYS)
    assert (await world.call())[0] == 200
    assert b"client-cluster" not in world.heads[-1].lower(), "it says no more where it listens: plain HTTP"


async def test_only_targets_of_an_export_may_call_it(world: World) -> None:
    await world.start(export=world.make.export(targetClusters=[world.make.key("c3")]))
    status, head, body = await world.call()
    assert (status, b"X-Gateway-Refused: not-a-target" in head) == (REFUSED, True)
    assert b"default/default/default/c2 is none of the targetClusters" in body
    assert world.c1.answers()[403, "not-a-target"] >= 1
    assert world.heads == []
    allowed = world.make.export(targetClusters=[world.make.key("c3"), world.c2.key])
    world.c1.swap(*world.exported[:2], allowed, world.c2.peer())
    assert (await world.call())[0] == 200, "on the same connection"
    assert world.c1.handshakes() == {("accepted", "ok"): 1}


async def test_the_port_for_gateways_serves_services_that_are_named_and_exported(
    world: World, tmp_path: Path
) -> None:
    await world.start()
    for field, reason in (
        ("", b"no-identity"), ("X-Gateway-Service: demo/other:3000;name\r\n", b"unknown-identity"),
        (f"X-Gateway-Service: {NAMED.decode()};{'0' * 32}\r\n", b"unknown-identity"),
        ("X-Gateway-Service: demo/app:3000\r\n", b"unknown-identity"),
    ):  # fmt: skip
        head = f"GET /app/x HTTP/1.1\r\nHost: app.demo\r\n{field}Connection: close\r\n\r\n".encode()
        answer = await world.dial(world.c2.leaf, tmp_path, head)
        assert answer.startswith(b"HTTP/1.1 421 "), field
        assert b"X-Gateway-Refused: " + reason in answer
    assert world.heads == []
    by_path = named("demo/app", 3000, BY_PATH)
    head = b"GET /app/x HTTP/1.1\r\nHost: y\r\nX-Gateway-Service: %b\r\nConnection: close\r\n\r\n" % by_path
    assert (await world.dial(world.c2.leaf, tmp_path, head)).startswith(b"HTTP/1.1 200 ")


async def test_a_removed_cluster_is_refused_on_its_open_connection(world: World) -> None:
    await world.start()
    assert (await world.call())[0] == 200
    world.c1.swap(*world.exported)
    status, head, _ = await world.call()
    assert (status, b"X-Gateway-Refused: unknown-cluster" in head) == (REFUSED, True)
    assert len(world.heads) == 1
    world.c1.swap(*world.exported, world.c2.peer())
    assert (await world.call())[0] == 200


async def test_a_removed_root_counts_no_more_on_open_connections_either_way(world: World) -> None:
    await world.start()
    assert (await world.call())[0] == 200
    new = make_root(world.c2.key, now())
    world.c1.swap(*world.exported, world.c2.peer(0, new))
    status, head, _ = await world.call()
    assert (status, b"X-Gateway-Refused: foreign-root" in head) == (REFUSED, True)
    world.c1.swap(*world.exported, world.c2.peer())
    assert (await world.call())[0] == 200
    world.c2.swap(*world.imported, world.c1.peer(world.c1.peers, make_root(world.c1.key, now())))
    status, _, _ = await world.call(method="POST", body=b"order")
    assert status == 502, "whoever is there is not c1 any more"
    assert world.c2.handshakes()["dialled", "certificate-verify-failed"] >= 1
    assert len(world.heads) == 2


async def test_all_certificates_change_under_load_and_no_request_fails(world: World) -> None:
    """New root known everywhere, certificates of it, old root gone: each while calls go on."""
    await world.start()
    statuses: list[int] = []
    going = True

    async def call_on() -> None:
        while going:
            statuses.append((await world.call(method="POST", body=b"order"))[0])

    calls = [asyncio.create_task(call_on()) for _ in range(8)]
    try:
        for member, other, base in (
            (world.c1, world.c2, world.imported), (world.c2, world.c1, world.exported),
        ):  # fmt: skip
            port = member.peers if member is world.c1 else 0
            new = make_root(member.key, now())
            for step in ("both roots", "new certificate", "new root"):
                seen = len(statuses)
                if step == "both roots":
                    other.swap(*base, member.peer(port, member.root, new))
                elif step == "new certificate":
                    member.server.set_certificate(issue(new, member.key, now()))
                else:
                    # Connections by the old certificate are replaced at the next request.
                    other.swap(*base, member.peer(port, new)) if member is world.c1 else None
                await world.net.until(lambda seen=seen: len(statuses) > seen + 50)
    finally:
        going = False
        await asyncio.gather(*calls)
    assert set(statuses) == {200}
    assert world.c1.handshakes()["accepted", "ok"] > 8, "connections were made again"


async def test_a_certificate_that_ends_under_way_is_not_used_to_its_end(world: World) -> None:
    await world.start()
    assert (await world.call())[0] == 200
    (pool,) = world.c2.server.registry.pools.values()
    (upstream,) = pool.connections
    dialled: Any = upstream.transport
    left = dialled.usable_until - now().timestamp()
    assert 24 * 3600 * 0.5 < left < 24 * 3600 * 0.91, "the last tenth is spared, and some of what is before"
    dialled.usable_until = 0
    assert (await world.call())[0] == 200
    assert world.c2.handshakes() == {("dialled", "ok"): 2}
    clients: list[Any] = list(world.c1.server.downstreams.open)
    for client in clients:
        client.transport.until = 0
    status, head, _ = await world.call()
    assert status == 200, "c1 asks who it is, and finds the certificate good"
    assert b"Refused" not in head


async def test_a_request_closes_few_of_many_connections_that_count_no_more(world: World) -> None:
    """After a root was taken away, say: it would wait until hundreds are closed."""
    await world.start()
    many = 24
    callers = [await world.net.connect(world.c2.east) for _ in range(many)]
    for _, writer in callers:
        writer.write(b"POST /x HTTP/1.1\r\nHost: app.demo\r\nContent-Length: 1\r\n\r\n")
    await world.net.until(lambda: world.c1.handshakes().get(("accepted", "ok"), 0) >= many)
    (pool,) = world.c2.server.registry.pools.values()
    for _, writer in callers:
        writer.write(b"x")
    await world.net.until(lambda: len(pool.idle) == many)
    for upstream in pool.idle:
        dialled: Any = upstream.transport
        dialled.usable_until = 0
    assert (await world.call())[0] == 200
    assert len(pool.idle) == many - UNUSABLE_AT_ONCE + 1
    for _ in range(10):
        assert (await world.call())[0] == 200
    assert len(pool.idle) == many - UNUSABLE_AT_ONCE + 1, "the one that is good is met first"


@pytest.mark.parametrize(
    ("made", "last", "first"),
    [
        (0.0, 900.0, 600.0),
        (600.0, 900.0, 600.0),
        (800.0, 900.0, 800.0),
        (900.0, 900.0, 900.0),
        (950.0, 900.0, 900.0),
    ],
)
def test_connections_by_one_certificate_are_replaced_one_by_one(
    made: float, last: float, first: float
) -> None:
    """Between six and nine tenths of its time. One that is made meanwhile is used for a part of the rest."""
    parts = [usable_until(0.0, 1000.0, made, part / 10) for part in range(11)]
    assert (parts[0], parts[-1]) == pytest.approx((last, first))
    assert parts == sorted(parts, reverse=True)


async def test_the_wrong_cluster_at_the_address_gets_no_request(world: World) -> None:
    """c3 has taken over the address of c1: it proves to be c3 and no more."""
    await world.start()
    third = Member(world.net, world.make, "c3", MutualTls.STRICT)
    await third.start(*world.exported, world.c2.peer())
    world.c2.swap(*world.imported, world.c1.peer(third.peers), third.peer())
    assert (await world.call(method="POST", body=b"order"))[0] == 502
    assert world.heads == []


async def test_a_refused_caller_goes_elsewhere_even_with_what_must_not_be_repeated(world: World) -> None:
    """Before c1 has read anything: a POST is safe to send to c3."""
    await world.start()
    third = Member(world.net, world.make, "c3", MutualTls.STRICT)
    await third.start(*world.exported, world.c2.peer())
    world.c1.swap(*world.exported)
    imported = world.make.imported(c1=1, c3=2)
    policy = world.make.policy("ActiveActive", c1=100, c3=1)
    world.c2.swap(imported, policy, world.c1.peer(world.c1.peers), third.peer(third.peers))
    for _ in range(6):
        assert (await world.call(method="POST", body=b"order"))[::2] == (200, b"order")
    assert len(world.heads) == 6


async def test_what_cannot_be_sent_twice_takes_an_idle_connection_to_a_gateway_that_is_known_to_be_alive(
    world: World,
) -> None:
    await world.start()
    assert (await world.call())[0] == 200
    pool = world.c2.pool()
    (idle,) = pool.idle
    idle.idle_since -= 10 * REUSE_SECONDS
    assert (await world.call(method="POST", body=b"order"))[0] == 200
    assert world.c2.handshakes()["dialled", "ok"] == 1
    idle.idle_since -= 10 * REUSE_SECONDS
    pool.heard -= 10 * REUSE_SECONDS
    assert (await world.call(method="POST", body=b"order"))[0] == 200
    assert world.c2.handshakes()["dialled", "ok"] == 2, "nobody may be there by now"


@pytest.mark.parametrize(("ended", "status", "orders"), [(True, 200, 1), (False, 502, 0)])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_what_meets_the_end_of_its_connection_is_sent_again_if_the_gateway_said_that_end(
    world: World, method: str, ended: bool, status: int, orders: int
) -> None:
    """As when a gateway drains: it ends a connection in the moment in which a request is sent on it."""
    await world.start()
    assert (await world.call())[0] == 200
    (idle,) = world.c2.pool().idle
    raw = cast("Dialled", idle.transport).raw
    raw.pause_reading()
    for downstream in list(world.c1.server._downstreams.open):
        downstream.finish_soon() if ended else downstream.abort()
    call = asyncio.create_task(world.call(method=method, body=b"order"))
    await world.net.until(lambda: idle.user is not None)
    raw.resume_reading()
    answered, _, body = await call
    assert answered == status
    assert body == b"order" or not ended
    assert sum(head.startswith(method.encode()) for head in world.heads) == orders


async def test_a_gateway_says_the_end_of_a_connection_that_was_idle_for_too_long(world: World) -> None:
    await world.start(idle_seconds=0.3)
    assert (await world.call())[0] == 200
    (idle,) = world.c2.pool().idle
    assert not idle.untaken
    await world.net.until(lambda: idle.lost)
    assert idle.untaken


@pytest.mark.parametrize("cut", [True, False])
async def test_an_answer_without_a_length_counts_as_whole_only_when_tls_says_its_end(
    net: Any, make: Any, ok: Any, cut: bool
) -> None:
    world = World(net, make, ok, MutualTls.STRICT)
    begun, finish = asyncio.Event(), asyncio.Event()

    async def until_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nbegun")
        await finish.wait()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward_writer = await net.connect(world.c1.peers)
        forth = asyncio.create_task(pass_on(reader, onward_writer))
        back = asyncio.create_task(pass_on(onward_reader, writer))
        if cut:
            await begun.wait()
            back.cancel()  # and what is on the way ends here, with a proper end of TCP
        await asyncio.wait([back])
        writer.close()
        forth.cancel()

    objects = [make.service(), make.slice("127.0.0.1", port=await net.server(until_close)), make.export()]
    await world.c1.start(*objects, world.c2.peer())
    port = await net.server(carry)
    imported = make.imported(c1=1), make.policy("ActiveActive")
    reading, writing = os.pipe()
    await world.c2.start(*imported, world.c1.peer(port), access_log=AccessLog(writing))
    reader, writer = await net.connect(world.c2.east)
    writer.write(b"GET /x HTTP/1.1\r\nHost: app.demo\r\n\r\n")
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(5) == b"begun"
    begun.set()
    if not cut:
        finish.set()
    assert await reader.read() == b""
    finish.set()
    await world.c2.server.drain(0.05)
    os.close(writing)
    (line,) = os.read(reading, 1 << 16).splitlines()
    os.close(reading)
    assert json.loads(line)["reason"] == ("answer-cut-off" if cut else "weight")


async def test_health_checks_go_over_tls_on_a_kept_connection(world: World) -> None:
    await world.start()
    assert (await world.call())[0] == 200
    (health,) = [one for one in world.c2.server.registry.health.values() if one.endpoint.peer]
    await world.net.until(lambda: health.marks)
    assert not health.down
    world.c1.swap(world.c2.peer())
    await world.net.until(lambda: health.down)
    world.c1.swap(*world.exported, world.c2.peer())
    await world.net.until(lambda: not health.down)
    assert world.c2.handshakes()["dialled", "ok"] <= 2


async def test_an_upgraded_connection_goes_through(world: World, net: Any, make: Any) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        while data := await reader.read(1024):
            writer.write(data)

    await world.start()
    objects = [make.service(), make.slice("127.0.0.1", port=await net.server(echo)), make.export()]
    world.c1.swap(*objects, world.c2.peer())
    reader, writer = await net.connect(world.c2.east)
    writer.write(b"GET /x HTTP/1.1\r\nHost: app.demo\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    writer.write_eof()
    assert await reader.read() == b"", "its end goes through as well"


async def test_refused_handshakes_are_logged_and_counted(world: World, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    world.c1.objects = []
    await world.start()
    await world.c1.start(*world.exported, world.c2.peer(), access_log=AccessLog(writing))
    assert await world.dial(None, tmp_path) == b""
    assert (await world.dial(world.c2.leaf, tmp_path)).startswith(b"HTTP/1.1 200 ")
    page = b"".join((await world.c1.server.metrics()).parts).decode()
    assert 'gateway_tls_handshakes_total{side="accepted",result="ok"} 1' in page
    assert 'side="accepted",result="peer-did-not-return-a-certificate"} 1' in page
    assert f"gateway_certificate_expiry_seconds {int(world.c1.leaf.until.timestamp())}\n" in page
    root = world.c2.root.certificate
    labels = f'cluster="{world.c2.key}",root="{fingerprint(root)}"'
    ends = int(root.not_valid_after_utc.timestamp())
    assert f"gateway_root_expiry_seconds{{{labels}}} {ends}\n" in page
    await world.c1.server.drain(0.05)
    os.close(writing)
    lines = [json.loads(line) for line in os.read(reading, 1 << 16).splitlines()]
    os.close(reading)
    assert [line["reason"] for line in lines] == ["tls-peer-did-not-return-a-certificate", "local"]
    assert lines[1]["caller"] == world.c2.key
    assert {line["listener"] for line in lines} == {"peers"}


async def test_a_gateway_tells_whom_it_asks_over_tls_and_who_proves_it_by_what(world: World) -> None:
    await world.start()
    c1, root = world.c1, fingerprint(world.c1.root.certificate)
    page = world.c2.server.registry.runtime.peer_tls.describe()
    assert page["certificate"] is True
    assert (page["since"], page["until"]) == (
        world.c2.leaf.since.isoformat(),
        world.c2.leaf.until.isoformat(),
    )
    assert page["peers"] == {c1.key: [root]}
    assert page["gateways"] == {c1.key: f"127.0.0.1:{c1.peers}"}
    counts = c1.root.certificate.not_valid_before_utc, c1.root.certificate.not_valid_after_utc
    assert page["roots"] == {root: {"since": counts[0].isoformat(), "until": counts[1].isoformat()}}
    page = c1.server.registry.runtime.peer_tls.describe()
    assert page["gateways"] == {}, "c2 listens for nobody"
    assert PeerTls().describe() == {
        "certificate": False, "since": None, "until": None, "peers": {}, "roots": {}, "gateways": {},
        "plain": True,
    }  # fmt: skip


async def test_before_it_has_a_certificate_a_gateway_lets_nobody_in(net: Any, make: Any, ok: Any) -> None:
    world = World(net, make, ok, MutualTls.STRICT)
    leaf, world.c1.leaf = world.c1.leaf, None  # type: ignore[assignment]
    await world.start()
    assert (await world.call())[0] == 502
    world.c1.server.set_certificate(leaf)
    assert (await world.call(method="POST", body=b"order"))[0] == 200


class Flood:
    """Connections from an address of its own, each of which begins a handshake and proves nothing."""

    def __init__(self, port: int, source: str = "127.0.0.9") -> None:
        self.port, self.source = port, source
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        self.context.set_alpn_protocols(["http/1.1"])

    async def dial(self) -> bool:
        """One handshake; whether the other side took part in it."""
        try:
            _, writer = await asyncio.open_connection(
                "127.0.0.1", self.port, ssl=self.context, local_addr=(self.source, 0)
            )
        except OSError:
            return False
        writer.close()
        return True

    async def hold(self) -> asyncio.StreamWriter:
        """A connection that says nothing."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(self.source, 0))
        return writer


async def test_a_flood_of_strangers_is_let_begin_few_handshakes_and_costs_others_none(world: World) -> None:
    await world.start()
    strangers = world.c1.server.registry.runtime.peer_tls.strangers
    strangers.at_once, strangers.per_second = 20.0, 1.0
    flood = Flood(world.c1.peers)
    began = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as tasks:
        tried = [tasks.create_task(flood.dial()) for _ in range(200)]
        statuses = [(await world.call(method="POST", body=b"order"))[0] for _ in range(20)]
    seconds = asyncio.get_running_loop().time() - began
    let_begin = sum(task.result() for task in tried)
    assert 20 <= let_begin <= 21 + seconds, "what one address may have, and what came with time"
    assert set(statuses) == {200}
    await world.net.until(lambda: sum(world.c1.handshakes().values()) > 200)
    assert world.c1.handshakes()["accepted", "too-many"] == 200 - let_begin
    assert world.c1.handshakes()["accepted", "peer-did-not-return-a-certificate"] == let_begin
    page = (await world.net.ask(world.c1.server.addresses["admin"][1], "/metrics"))[2]
    assert b'gateway_tls_handshakes_total{side="accepted",result="too-many"}' in page
    assert strangers.under_way == 0
    assert await Flood(world.c1.peers, "127.0.0.8").dial(), "another address has its own"


async def test_handshakes_that_never_end_are_few_and_end_by_themselves(world: World) -> None:
    await world.start(head_seconds=1.0)
    strangers = world.c1.server.registry.runtime.peer_tls.strangers
    strangers.most_under_way = 8
    flood = Flood(world.c1.peers)
    held = [await flood.hold() for _ in range(30)]
    await world.net.until(lambda: world.c1.handshakes().get(("accepted", "too-many")) == 22)
    assert strangers.under_way == 8
    assert len(world.c1.server.downstreams.open) == 8, "nothing is kept of the others"
    await world.net.until(lambda: strangers.under_way == 0)
    assert (await world.call())[0] == 200
    for writer in held:
        writer.close()


async def test_all_connections_of_a_peer_may_be_made_again_at_once(world: World) -> None:
    """After another root, say: what proves who it is uses nothing up."""
    await world.start()
    strangers = world.c1.server.registry.runtime.peer_tls.strangers
    strangers.at_once, strangers.per_second = 10.0, 0.0
    for number in range(40):
        assert (await world.call())[0] == 200, number
        (pool,) = world.c2.server.registry.pools.values()
        (upstream,) = pool.connections
        dialled: Any = upstream.transport
        dialled.usable_until = 0
    assert set(world.c1.handshakes()) == {("accepted", "ok")}
    assert world.c1.handshakes()["accepted", "ok"] >= 40, "and health checks have one of their own"
