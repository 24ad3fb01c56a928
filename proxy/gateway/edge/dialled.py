"""A connection to another cluster's gateway over TLS."""

from __future__ import annotations

import asyncio
import random
import ssl
from time import time
from typing import Any, Final

from gateway.edge.contexts import ALPN, PeerTls, usable_until
from gateway.edge.tls import TlsTransport

DIALLED: Final = "dialled"


class Dialled(TlsTransport):
    """The protocol above has it from `begin` on, once the other side has proved to be whom is meant."""

    __slots__ = ("begun", "contexts", "key", "peers", "ready", "usable_until")

    def __init__(self, peers: PeerTls, key: str, above: Any, ready: asyncio.Future[None]) -> None:
        """`key`: of the cluster. `ready` is done when the handshake is, with an OSError when it fails."""
        contexts = peers.contexts
        super().__init__(contexts.client(key), above, server_side=False)
        self.peers = peers
        self.begun = False
        self.contexts = contexts
        self.key = key
        self.ready = ready
        self.usable_until = 0.0
        """On the wall clock."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.peers.open += 1
        self.shake()

    def opened(self) -> None:
        found = self.contexts.identify(self.tls)
        reason, message = found.reason, found.message
        if not reason and found.key != self.key:
            reason, message = "other-cluster", f"{found.key} answers in place of {self.key}"
        elif not reason and self.tls.selected_alpn_protocol() != ALPN:
            reason, message = "no-alpn", f"{self.key} does not speak {ALPN} there"
        if reason:
            self.fail(ssl.SSLError(f"{message} ({reason})"), reason)
            return
        now, part = time(), random.random()  # noqa: S311  no secret
        self.usable_until = min(
            usable_until(found.since, found.until, now, part),
            usable_until(self.contexts.since, self.contexts.until, now, part),
        )
        self.peers.count(DIALLED, "ok")
        if not self.ready.done():
            self.ready.set_result(None)

    def failed(self, error: Exception, reason: str) -> None:
        self.peers.count(DIALLED, reason)
        if not self.ready.done():
            self.ready.set_exception(error)
        self.raw.close()

    def begin(self) -> None:
        """After the handshake. OSError when the connection is gone by now."""
        if self.fault is not None or self.is_closing():
            raise ConnectionResetError(str(self.fault or "closed right after the TLS handshake"))
        self.begun = True
        self.above.connection_made(self)

    def deliver(self, data: bytes) -> None:
        if self.begun:
            self.above.data_received(data)
        else:
            self.fault = ConnectionResetError("it answers before it is asked")

    def deliver_end(self) -> bool:
        return self.begun and bool(self.above.eof_received())

    def lost(self, error: Exception | None) -> None:
        self.peers.open -= 1
        if self.begun:
            self.above.connection_lost(error)

    def usable(self) -> bool:
        """Whether a new request may be sent on it: by the time, and by what is known of the cluster now."""
        if time() >= self.usable_until:
            return False
        contexts = self.peers.contexts
        if contexts is not self.contexts:
            if contexts.identify(self.tls).key != self.key:
                return False
            self.contexts = contexts
        return True
