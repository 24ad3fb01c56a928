"""A cluster's certificate authority in its Secrets: made once, kept, renewed, and never replaced unasked."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from proxy.kube.mini_api import MiniApi

from gateway.core.authority import Lifetimes
from gateway.core.certificates import CertificateError, fingerprint, is_issued_by, read_leaf, read_roots
from gateway.core.certificates import read_leaf_certificate as parsed
from gateway.core.issuing import Issuer, issue, make_root
from gateway.core.peers import MutualTls
from gateway.kube.acknowledgement import MOST_BYTES, Loaded, agreed, ask_all
from gateway.kube.authority import AuthorityKeeper
from gateway.kube.client import KubeClient
from gateway.kube.client_config import from_kubeconfig

KEY = "default/default/default/here"
SYSTEM = "multicluster-system"
CA, CERTIFICATE = (("secrets", SYSTEM, name) for name in ("gateway-ca", "gateway-certificate"))
OWN = "secrets", SYSTEM, "gateway-own-ca"
PEER = "peers", "", "here"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
ROOT = make_root(KEY, NOW).pem
TIMES = Lifetimes(root=timedelta(days=10), leaf=timedelta(hours=24))


class World:
    """A cluster's API, and what keeps its authority at a time that the test sets."""

    def __init__(self, api: MiniApi, client: KubeClient) -> None:
        self.api, self.client = api, client
        self.now = NOW
        self.loaded: Loaded | None = None
        self.keeper = AuthorityKeeper(client, SYSTEM, KEY, self.ask, lifetimes=TIMES, clock=lambda: self.now)

    async def ask(self) -> Loaded | None:
        return self.loaded

    def data(self, path: tuple[str, str, str]) -> dict[str, bytes]:
        return {name: b64decode(value) for name, value in self.api.objects[path]["data"].items()}

    def leaf(self) -> Any:
        found = self.data(CERTIFICATE)
        return read_leaf(found["tls.crt"], found["tls.key"], KEY)

    def roots(self) -> list[Any]:
        return [root for pem in self.api.objects[PEER]["spec"]["roots"] for root in read_roots(pem, KEY)]

    async def put_own(self, ca: Issuer) -> None:
        """As cert-manager keeps it."""
        pems = {"tls.crt": ca.pem, "tls.key": ca.key_pem}
        data = {name: b64encode(pem).decode() for name, pem in pems.items()}
        await self.api.put(*OWN, type="kubernetes.io/tls", data=data)

    async def all_know(self) -> None:
        """As the hub says it."""
        known = {"known": [fingerprint(root) for root in self.roots()]}
        self.api.objects[PEER] = {**self.api.objects[PEER], "status": known}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    api = MiniApi()
    await api.start()
    async with KubeClient(from_kubeconfig(api.kubeconfig()), field_manager="test") as client:
        yield World(api, client)
    await api.stop()


async def test_a_cluster_gets_a_ca_and_its_gateways_a_certificate_once(world: World) -> None:
    await world.keeper.keep()
    assert is_issued_by(parsed(world.leaf()), world.roots())
    assert set(world.data(CA)) == {"tls.crt", "tls.key"}
    assert set(world.data(CERTIFICATE)) == {"tls.crt", "tls.key"}
    assert world.data(CA)["tls.key"] != world.data(CERTIFICATE)["tls.key"]
    assert "PRIVATE" not in str(world.api.objects[PEER]), "what leaves the cluster is public"
    before = dict(world.api.objects)
    await world.keeper.keep()
    assert world.api.objects == before, "nothing is due: nothing is written"


async def test_a_certificate_is_renewed_and_one_that_was_spoilt_is_made_again(world: World) -> None:
    await world.keeper.keep()
    first = world.leaf()
    world.now = first.renew_at
    await world.keeper.keep()
    assert world.leaf().until == world.now + TIMES.leaf
    ca = world.api.objects[CA]
    for spoilt in ({}, {"tls.crt": "x", "tls.key": "!"}, {"tls.crt": "eA=="}):
        await world.api.put("secrets", SYSTEM, "gateway-certificate", data=spoilt)
        await world.keeper.keep()
        assert is_issued_by(parsed(world.leaf()), world.roots())
    await world.api.remove(*CERTIFICATE)
    await world.keeper.keep()
    assert is_issued_by(parsed(world.leaf()), world.roots())
    assert world.api.objects[CA] == ca


async def test_a_root_is_replaced_when_all_know_the_next_one_over_restarts(world: World) -> None:
    await world.keeper.keep()
    (old,) = world.roots()
    world.now += timedelta(days=6)
    await world.keeper.keep()
    assert len(world.roots()) == 2
    assert is_issued_by(parsed(world.leaf()), [old])
    assert {"following.crt", "following.key"} < set(world.data(CA))
    await world.keeper.keep()
    assert is_issued_by(parsed(world.leaf()), [old]), "not before all know it"
    await world.all_know()
    await world.keeper.keep()
    new = world.roots()[0]
    assert new != old
    assert is_issued_by(parsed(world.leaf()), [new])
    assert world.roots() == [new, old]
    assert {"retired.crt", "retired-until"} < set(world.data(CA))
    assert "following.key" not in world.data(CA)
    world.now += TIMES.leaf
    await world.keeper.keep()
    assert world.roots() == [new]
    assert set(world.data(CA)) == {"tls.crt", "tls.key"}


@pytest.mark.parametrize("broken", [
    {"tls.crt": b"x"}, {"tls.key": b""}, {"tls.crt": ROOT},
    {"tls.crt": make_root("a/b/c/d", NOW).pem}, {"following.crt": b"x"}, {"retired.crt": b"\xff"},
    {"retired.crt": ROOT}, {"retired.crt": ROOT, "retired-until": b"soon"},
    {"retired.crt": ROOT, "retired-until": b"2026-07-01T00:00:00"},
])  # fmt: skip
async def test_a_ca_that_cannot_be_read_is_left_alone_and_named(
    world: World, broken: dict[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    await world.keeper.keep()
    spoilt = {**world.data(CA), **broken}
    await world.api.put(*CA, data={name: b64encode(value).decode() for name, value in spoilt.items()})
    before = dict(world.api.objects)
    with pytest.raises(CertificateError):
        await world.keeper.keep()
    assert world.api.objects == before
    assert "PRIVATE" not in caplog.text


async def test_a_ca_of_the_users_is_taken_over_when_all_know_it_and_its_secret_is_left_alone(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.keeper.keep()
    (ours,) = world.roots()
    theirs = make_root(KEY, NOW, timedelta(days=90))
    await world.put_own(theirs)
    await world.keeper.keep()
    assert world.roots() == [ours, theirs.certificate]
    assert is_issued_by(parsed(world.leaf()), [ours]), "not before all know it"
    await world.all_know()
    await world.keeper.keep()
    assert is_issued_by(parsed(world.leaf()), [theirs.certificate])
    assert world.data(OWN)["tls.crt"] == theirs.pem
    assert set(world.data(OWN)) == {"tls.crt", "tls.key"}
    world.now = theirs.certificate.not_valid_after_utc - timedelta(days=1)
    await world.keeper.keep()
    assert world.roots() == [theirs.certificate], "who made it renews it"
    again = make_root(KEY, world.now)
    await world.put_own(again)
    await world.keeper.keep()
    await world.all_know()
    await world.keeper.keep()
    assert is_issued_by(parsed(world.leaf()), [again.certificate])
    assert "PRIVATE" not in caplog.text


@pytest.mark.parametrize(
    ("days", "key", "words"),
    [(-1, KEY, "it has ended at 2026-06-30T12:00:00"), (90, "a/b/c/d", "could issue for other clusters")],
)
async def test_a_ca_of_the_users_that_cannot_issue_is_named_once_and_what_is_there_goes_on(
    world: World, caplog: pytest.LogCaptureFixture, days: int, key: str, words: str
) -> None:
    await world.put_own(make_root(key, NOW - timedelta(days=2), timedelta(days=days + 2)))
    for _ in range(2):
        await world.keeper.keep()
    assert is_issued_by(parsed(world.leaf()), world.roots())
    said = [record.getMessage() for record in caplog.records if "is not used" in record.getMessage()]
    assert len(said) == 1
    assert "Secret multicluster-system/gateway-own-ca" in said[0]
    assert words in said[0]
    await world.put_own(theirs := make_root(KEY, NOW))
    await world.keeper.keep()
    assert theirs.certificate in world.roots()


async def test_what_cannot_be_done_is_said_once_and_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, net: Any
) -> None:
    monkeypatch.setattr("gateway.kube.authority.ROUND_SECONDS", 0.005)
    monkeypatch.setattr("gateway.kube.authority.SOON_SECONDS", 0.005)
    world.api.refused = {"peers"}
    running = asyncio.create_task(world.keeper.run())
    try:
        await net.until(lambda: "peers is forbidden" in caplog.text)
        await asyncio.sleep(0.05)
        assert caplog.text.count("peers is forbidden") == 1
        world.api.refused = set()
        await net.until(lambda: CERTIFICATE in world.api.objects)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert is_issued_by(parsed(world.leaf()), world.roots())


async def test_a_cluster_says_what_all_its_gateways_have_loaded(world: World) -> None:
    other = {"clusterKey": "a/b/c/other", "roots": ["x"]}
    hub, somebody = (
        {"labels": {"app.kubernetes.io/managed-by": name}} for name in ("multicluster-hub", "me")
    )
    await world.api.put("peers", "", "other", metadata=hub, spec=other)
    await world.api.put("peers", "", "mine", metadata=somebody, spec=other)
    await world.keeper.keep()
    own = world.api.objects[PEER]["spec"]
    assert own["listening"] is False
    assert "status" not in world.api.objects["peers", "", "other"], "nothing is known yet"
    world.loaded = Loaded(certificate=True, roots={"a/b/c/other": frozenset({"2", "1"})})
    assert await world.keeper.keep(), "nobody waits for more"
    assert world.api.objects[PEER]["spec"]["listening"] is True
    assert world.api.objects["peers", "", "other"]["status"] == {"trusted": ["1", "2"]}
    assert "status" not in world.api.objects["peers", "", "mine"]
    world.loaded = None
    before = dict(world.api.objects)
    await world.keeper.keep()
    assert world.api.objects == before, "one that does not answer for a moment changes nothing"
    world.loaded = Loaded(certificate=False)
    await world.keeper.keep()
    assert world.api.objects[PEER]["spec"]["listening"] is False
    assert world.api.objects["peers", "", "other"]["status"] == {"trusted": []}


@pytest.mark.parametrize(
    ("loaded", "settled"),
    [
        (None, False),
        (Loaded(certificate=False, roots={"a/b/c/other": frozenset("1")}), False),
        (Loaded(certificate=True), False),
        (Loaded(certificate=True, roots={"a/b/c/other": frozenset("1")}), True),
    ],
)
async def test_it_is_looked_again_soon_while_others_wait_for_it(
    world: World, loaded: Loaded | None, *, settled: bool
) -> None:
    world.loaded = loaded
    assert not await world.keeper.keep(), "the hub has told nothing of others yet"
    labels = {"labels": {"app.kubernetes.io/managed-by": "multicluster-hub"}}
    spec = {"clusterKey": "a/b/c/other", "roots": ["x"]}
    await world.api.put("peers", "", "other", metadata=labels, spec=spec)
    assert await world.keeper.keep() is settled
    listening = spec | {"gateway": {"ip": "10.0.0.1", "port": 8443}}
    await world.api.put("peers", "", "other", metadata=labels, spec=listening)
    assert not await world.keeper.keep(), "the gateways do not ask it over TLS yet"
    if loaded is not None:
        world.loaded = replace(loaded, asked={"a/b/c/other": "10.0.0.1:8443"})
    assert await world.keeper.keep() is settled


async def test_the_hub_is_told_where_all_gateways_ask_another_cluster_over_tls(world: World) -> None:
    labels = {"labels": {"app.kubernetes.io/managed-by": "multicluster-hub"}}
    await world.api.put("peers", "", "other", metadata=labels, spec={"clusterKey": "a/b/c/other"})

    async def said(asked: dict[str, str]) -> Any:
        world.loaded = Loaded(certificate=True, roots={"a/b/c/other": frozenset("1")}, asked=asked)
        await world.keeper.keep()
        return world.api.objects["peers", "", "other"]["status"].get("asked")

    assert await said({}) is None
    assert await said({"a/b/c/other": "10.0.0.1:8443", "a/b/c/third": "10.0.0.3:8443"}) == "10.0.0.1:8443"
    assert await said({"a/b/c/other": "[fd00::1]:8443"}) == "[fd00::1]:8443"
    assert await said({}) is None


async def test_on_the_way_back_others_are_told_when_no_gateway_is_closed_to_plain_http(world: World) -> None:
    keeper = AuthorityKeeper(
        world.client, SYSTEM, KEY, world.ask, lifetimes=TIMES, announced=False, clock=lambda: world.now
    )
    for closed in (True, False):
        world.loaded = Loaded(certificate=True, closed=closed)
        await keeper.keep()
        assert world.api.objects[PEER]["spec"]["listening"] is closed


async def test_a_cluster_on_its_way_back_says_that_it_does_not_listen_though_it_does(world: World) -> None:
    world.loaded = Loaded(certificate=True)
    await world.keeper.keep()
    assert world.api.objects[PEER]["spec"]["listening"] is True
    keeper = AuthorityKeeper(
        world.client, SYSTEM, KEY, world.ask, lifetimes=TIMES, announced=False, clock=lambda: world.now
    )
    await keeper.keep()
    assert world.api.objects[PEER]["spec"]["listening"] is False
    world.loaded = None
    await keeper.keep()
    assert world.api.objects[PEER]["spec"]["listening"] is False


def test_what_one_gateway_lacks_is_not_loaded() -> None:
    one = {"certificate": True, "peers": {"a": ["1", "2"], "b": ["3"]}}
    two = {"certificate": True, "peers": {"a": ["2", "4"]}}
    assert agreed([one]) == Loaded(True, {"a": frozenset({"1", "2"}), "b": frozenset({"3"})})
    assert agreed([one, two]) == Loaded(True, {"a": frozenset({"2"}), "b": frozenset()})
    assert agreed([one, {}]) == Loaded(False, {"a": frozenset(), "b": frozenset()})


def test_another_cluster_is_asked_over_tls_when_all_gateways_do_and_at_the_same_place() -> None:
    one = {"certificate": True, "gateways": {"a": "10.0.0.1:8443", "b": "10.0.0.2:8443"}, "plain": True}
    assert agreed([one]).asked == one["gateways"]
    two = one | {"gateways": {"a": "10.0.0.1:8443", "b": "10.0.0.9:8443"}}
    assert agreed([one, two]).asked == {"a": "10.0.0.1:8443"}
    assert agreed([one, {"certificate": True}]).asked == {}, "one of an older version does not say"
    assert not agreed([one, {"certificate": True}]).closed
    assert agreed([one, one | {"plain": False}]).closed, "one is enough to refuse a call"


async def test_gateways_are_asked_what_they_have(net: Any, make: Any) -> None:
    assert await ask_all([]) is None
    root = make_root(make.key("c1"), datetime.now(UTC))
    peer = {"kind": "Peer", "metadata": {"name": "c1"},
            "spec": {"clusterKey": make.key("c1"), "roots": [root.pem.decode()]}}  # fmt: skip
    _, _, server = await net.gateway(peer, mutual_tls=MutualTls.STRICT)
    port = server.addresses["admin"][1]
    known = {make.key("c1"): frozenset({fingerprint(root.certificate)})}
    assert await ask_all(["127.0.0.1"], port) == Loaded(False, known, closed=True), "strict"
    own = issue(make_root(make.key("here"), datetime.now(UTC)), make.key("here"), datetime.now(UTC))
    server.set_certificate(own)
    assert await ask_all(["127.0.0.1", "127.0.0.1"], port) == Loaded(True, known, closed=True)
    assert await ask_all(["127.0.0.1"], net.dead_port()) is None
    north, _, _ = await net.gateway()
    assert await ask_all(["127.0.0.1"], north) is None, "somebody else answers there"


async def test_a_page_that_comes_in_pieces_is_read_whole_and_one_without_end_is_not() -> None:
    page = b'{"certificate": true, "peers": {"a": ["1"]}}'
    pieces = [page[:10], page[10:]]
    ended: asyncio.Queue[None] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        with suppress(ConnectionError):  # of who has read enough
            for piece in pieces:
                await writer.drain()
                await asyncio.sleep(0.05)  # so that the other side reads what there is
                writer.write(piece)
            writer.close()
            await writer.wait_closed()
        ended.put_nowait(None)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await ask_all(["127.0.0.1"], port) == Loaded(True, {"a": frozenset({"1"})})
        pieces[0] = page + b" " * MOST_BYTES
        assert await ask_all(["127.0.0.1"], port) is None
        await ended.get()
        await ended.get()


async def test_with_no_hub_for_many_lives_of_a_certificate_a_cluster_renews_its_own(world: World) -> None:
    """Its CA is its own: whoever trusts its root needs nobody to bring anything."""
    await world.keeper.keep()
    roots = world.roots()
    labels = {"labels": {"app.kubernetes.io/managed-by": "multicluster-hub"}}
    await world.api.put("peers", "", "other", metadata=labels, spec={"clusterKey": "a/b/c/other"})
    world.loaded = Loaded(certificate=True, roots={"a/b/c/other": frozenset({"1"})})
    seen = set()
    for _ in range(4 * 24):
        world.now += timedelta(hours=1)
        await world.keeper.keep()
        leaf = world.leaf()
        assert leaf.since <= world.now < leaf.until - timedelta(hours=11), "never near its end"
        assert is_issued_by(parsed(leaf), roots)
        seen.add(leaf.until)
    assert len(seen) >= 8
    assert world.roots() == roots


async def test_a_controller_that_comes_back_after_its_root_has_ended_begins_with_another(
    world: World,
) -> None:
    """The hub carries it to the others as it did the first, and calls go on when their gateways have it."""
    await world.keeper.keep()
    (old,) = world.roots()
    world.now = old.not_valid_after_utc + timedelta(days=20)
    await world.keeper.keep()
    (new,) = world.roots()
    assert new != old
    assert is_issued_by(parsed(world.leaf()), [new])
    assert world.leaf().since < world.now < world.leaf().until
    assert "following.crt" not in world.data(CA)
    assert "retired.crt" not in world.data(CA)
