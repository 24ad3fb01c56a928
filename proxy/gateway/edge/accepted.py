"""A connection from another cluster's gateway over TLS."""

from __future__ import annotations

import asyncio
from typing import Final, cast

from gateway.core.meter import TLS_BYTES
from gateway.core.peers import Caller
from gateway.edge.client import Client
from gateway.edge.contexts import ALPN, Contexts, PeerTls, seconds_left
from gateway.edge.tls import TlsTransport

ACCEPTED: Final = "accepted"


class Accepted(TlsTransport):
    """The client above counts from the first moment on; requests reach it when the handshake is done.

    Who has a certificate of a known root and is nobody's gateway here gets an answer that says so, which a
    gateway in front can tell from a service that is gone. Without such a certificate there is no handshake.
    """

    __slots__ = ("client", "contexts", "peers", "until")

    def __init__(self, peers: PeerTls, client: Client) -> None:
        contexts = peers.contexts
        super().__init__(contexts.server, client, server_side=True)
        self.peers = peers
        self.contexts = contexts
        self.client = client
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
        self.ask(self.contexts)
        self.client.handshake_done()

    def failed(self, error: Exception, reason: str) -> None:
        self.peers.count(ACCEPTED, reason)
        self.client.handshake_failed(reason, str(error))
        if not self.raw.is_closing():
            self.raw.write_eof()  # it is closed when the other side has read why, or at the deadline

    def check(self) -> None:
        """Before a request: who is there may have become nobody since."""
        contexts = self.peers.contexts
        if contexts is not self.contexts or seconds_left(self.until) <= 0:
            self.ask(contexts)

    def ask(self, contexts: Contexts) -> None:
        """Find out who is there, as is known now."""
        self.contexts = contexts
        found = contexts.identify(self.tls)
        self.until = found.until
        reason, message = found.reason, found.message
        if not reason and seconds_left(found.until) <= 0:
            reason, message = "expired-certificate", f"the certificate of {found.key} has ended meanwhile"
        self.client.identified(Caller(found.key, reason, message))
