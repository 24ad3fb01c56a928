"""The hub dials other clusters' gateways before anybody is sent there, on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.core.issuing import Issuer, issue, make_root
from gateway.core.peers import MutualTls
from gateway.kube.peer_objects import Listener
from gateway.kube.peers_reached import Reached, UnreachedError, dial

NOW = datetime.now(UTC)


class Member:
    """A cluster whose gateway listens for others."""

    def __init__(self, net: Any, make: Any, name: str) -> None:
        self.net, self.name, self.key = net, name, str(make.key(name))
        self.root = make_root(self.key, NOW)
        self.server: Any = None

    async def start(self, *, hours: float = 24) -> int:
        since = NOW - timedelta(hours=48)
        leaf = issue(self.root, self.key, since if hours < 0 else NOW, timedelta(hours=24))
        _, _, self.server = await self.net.gateway(
            cluster=self.name, certificate=leaf, mutual_tls=MutualTls.PERMISSIVE, head_seconds=30.0
        )
        return int(self.server.addresses["peers"][1])

    def listener(self, port: int, *roots: Issuer) -> Listener:
        return Listener("127.0.0.1", port, tuple(root.pem.decode() for root in roots or (self.root,)))


@pytest.fixture
def member(net: Any, make: Any) -> Member:
    return Member(net, make, "c1")


@pytest.fixture
async def reached() -> AsyncIterator[tuple[Reached, list[int]]]:
    """What dials, and how often it has said that somebody was reached."""
    told: list[int] = []
    dialling = Reached(lambda: told.append(1), again=0.02)
    yield dialling, told
    await dialling.close()


async def test_a_gateway_proves_that_it_is_there_and_sees_nobody_who_proves_nothing(member: Member) -> None:
    listener = member.listener(await member.start(), make_root(member.key, NOW), member.root)
    await dial(listener, member.key)
    tls = member.server.registry.runtime.peer_tls
    await member.net.until(lambda: tls.handshakes)
    assert tls.handshakes == {("accepted", "closed"): 1}, "as of those who try out the port"


async def test_somebody_else_is_not_it(member: Member, net: Any, make: Any) -> None:
    port = await member.start()
    other = Member(net, make, "c2")
    with pytest.raises(OSError, match="certificate verify failed"):
        await dial(other.listener(port), other.key)
    # Whatever roots a cluster says, they are bound to its own name.
    with pytest.raises(UnreachedError, match=r"default/c1 answers there"):
        await dial(member.listener(port), other.key)
    with pytest.raises(OSError, match="refused"):
        await dial(member.listener(net.dead_port()), member.key)
    plain = await net.app(lambda _head, _body: b"")
    north = member.server.addresses["listen"][1]
    for port in (plain, north):
        with pytest.raises((OSError, UnreachedError)):
            async with asyncio.timeout(2):
                await dial(member.listener(port), member.key)


async def test_one_that_is_not_there_is_named_once_and_dialled_until_it_is(
    member: Member, net: Any, reached: tuple[Reached, list[int]], caplog: pytest.LogCaptureFixture
) -> None:
    dialling, told = reached
    nowhere = net.dead_port()
    dialling.take({member.key: member.listener(nowhere)})
    await net.until(lambda: "is not asked over mutual TLS yet" in caplog.text)
    await asyncio.sleep(0.1)
    assert caplog.text.count(f"{member.key} is not asked over mutual TLS yet") == 1
    assert f"127.0.0.1:{nowhere}" in caplog.text
    assert member.key not in dialling
    dialling.take({member.key: member.listener(await member.start())})
    await net.until(lambda: told)
    assert member.key in dialling
    dialling.take({})
    assert member.key not in dialling, "it does not listen any more"


async def test_what_is_dialled_is_what_was_said_last(
    member: Member, net: Any, reached: tuple[Reached, list[int]]
) -> None:
    """A gateway whose certificate another root has issued since then."""
    dialling, told = reached
    port = await member.start()
    dialling.take({member.key: member.listener(port, make_root(member.key, NOW))})
    await net.until(lambda: ("accepted", "closed") in member.server.registry.runtime.peer_tls.handshakes)
    assert not told
    dialling.take({member.key: member.listener(port)})
    await net.until(lambda: told)


async def test_an_ended_certificate_proves_nothing(member: Member) -> None:
    with pytest.raises(OSError, match="certificate has expired"):
        await dial(member.listener(await member.start(hours=-1)), member.key)
