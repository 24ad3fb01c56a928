"""A connection from another cluster's gateway over TLS."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import time
from typing import Final, cast

from gateway.core.meter import TLS_BYTES
from gateway.core.peers import Caller
from gateway.edge.client import Client
from gateway.edge.contexts import ALPN, Contexts, PeerTls
from gateway.edge.runtime import Runtime
from gateway.edge.tls import TlsTransport

ACCEPTED: Final = "accepted"
TOO_MANY: Final = "too-many"
"""The result of a handshake that is not begun: with strangers at that address there were too many."""


class Arrived:
    """The protocol of a connection until a handshake may begin: nothing is made for it before.

    Like a client it is a protocol in all but descent.
    """

    __slots__ = ("client", "runtime")

    def __init__(self, runtime: Runtime, client: Callable[[], Client]) -> None:
        """`client`: makes what its requests go to."""
        self.runtime = runtime
        self.client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        name = transport.get_extra_info("peername")
        source = name[0].encode() if isinstance(name, tuple) else b"unknown"
        peers = self.runtime.peer_tls
        if not peers.strangers.begin(source, self.runtime.now):
            peers.count(ACCEPTED, TOO_MANY)
            cast("asyncio.Transport", transport).abort()
            return
        accepted = Accepted(peers, self.client(), source)
        cast("asyncio.Transport", transport).set_protocol(cast("asyncio.Protocol", accepted))
        accepted.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Of one that is closed by now."""

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing was made for it."""


class Accepted(TlsTransport):
    """The client above counts from the first moment on; requests reach it when the handshake is done.

    Who has a certificate of a known root and is nobody's gateway here gets an answer that says so, which a
    gateway in front can tell from a service that is gone. Without such a certificate there is no handshake.
    """

    __slots__ = ("client", "contexts", "peers", "source", "until")

    def __init__(self, peers: PeerTls, client: Client, source: bytes) -> None:
        """`source`: the address at the other end, with which a handshake has begun."""
        contexts = peers.contexts
        super().__init__(contexts.server, client, server_side=True)
        self.peers = peers
        self.contexts = contexts
        self.client = client
        self.source = source
        self.until = 0.0
        """When the other side's certificate ends, on the wall clock."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.peers.open += 1
        self.client.meter.came += TLS_BYTES
        self.client.connection_made(cast("asyncio.Transport", self))
        if self.client.lingered >= 0:
            self.raw.abort()  # refused, which costs too much to be told
        self.client.await_handshake()

    def lost(self, error: Exception | None) -> None:
        self.peers.open -= 1
        super().lost(error)

    def data_received(self, data: bytes) -> None:
        if self.open and not self.dead:
            self.check()
        super().data_received(data)

    def opened(self) -> None:
        if self.tls.selected_alpn_protocol() != ALPN:
            self.fail(ConnectionError(f"it does not speak {ALPN}"), "no-alpn")
            return
        self.peers.count(ACCEPTED, "ok")
        self.peers.strangers.end(self.source, self.client.runtime.now, proved=True)
        self.ask(self.contexts)
        self.client.handshake_done()

    def failed(self, error: Exception, reason: str) -> None:
        self.peers.count(ACCEPTED, reason)
        self.peers.strangers.end(self.source, self.client.runtime.now, proved=False)
        self.client.handshake_failed(reason, str(error))
        if not self.raw.is_closing():
            self.raw.write_eof()  # it is closed when the other side has read why, or at the deadline

    def check(self) -> None:
        """Before a request: who is there may have become nobody since."""
        contexts = self.peers.contexts
        if contexts is not self.contexts or time() >= self.until:
            self.ask(contexts)

    def ask(self, contexts: Contexts) -> None:
        """Find out who is there, as is known now."""
        self.contexts = contexts
        found = contexts.identify(self.tls)
        self.until = found.until
        reason, message = found.reason, found.message
        if not reason and time() >= found.until:
            reason, message = "expired-certificate", f"the certificate of {found.key} has ended meanwhile"
        self.client.identified(Caller(found.key, reason, message))
