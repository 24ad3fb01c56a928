"""TLS contexts towards other clusters' gateways: made of an own certificate and what is known of peers.

They are replaced as a whole when either changes. Connections stay: when one is used next under other
contexts, its certificate is looked at again.
"""

from __future__ import annotations

import os
import ssl
from time import time
from typing import TYPE_CHECKING, Final

from gateway.core.budget import DEFAULT_BUDGET
from gateway.core.meter import CONNECTION_BYTES, TLS_BYTES
from gateway.core.peers import NO_PEERS, PeerTable, UnknownPeerError
from gateway.core.strangers import Strangers

if TYPE_CHECKING:
    from gateway.core.certificates import Leaf

ALPN: Final = "http/1.1"

SPARE: Final = 0.1
"""A connection is not used for new requests in the last tenth of its certificates' time: clocks differ."""
SPREAD: Final = 0.3
"""Before that, a part of the time over which connections by one certificate are replaced, each at a moment of
its own: all at once would cost more handshakes than requests can wait for."""

MOST_KNOWN: Final = 1024
"""Certificates whose identity is kept: each cluster has one or two, but a hostile one can make any number."""


class Identity:
    """What a certificate proves, under some contexts."""

    __slots__ = ("key", "message", "reason", "since", "until")

    def __init__(self, key: str, reason: str, message: str, since: float, until: float) -> None:
        self.key = key
        """The cluster; empty for nobody, and then `reason` and `message` say why."""
        self.reason = reason
        self.message = message
        self.since = since
        self.until = until
        """Both on the wall clock."""


class Contexts:
    """Those of one certificate and one table of peers. Without a certificate every handshake fails."""

    def __init__(self, own: Leaf | None, table: PeerTable) -> None:
        self.own = own
        self.since = self.until = 0.0
        """Of the own certificate, on the wall clock."""
        if own is not None:
            self.since, self.until = own.since.timestamp(), own.until.timestamp()
        self.table = table
        self._known: dict[bytes, Identity] = {}
        self._clients: dict[str, ssl.SSLContext] = {}
        self.server = self._make(ssl.PROTOCOL_TLS_SERVER, [*table.peers])
        self.server.num_tickets = 0
        self.server.options |= ssl.OP_NO_TICKET

    def client(self, key: str) -> ssl.SSLContext:
        """For gateways of one cluster, which only its roots can vouch for."""
        found = self._clients.get(key)
        if found is None:
            found = self._clients[key] = self._make(ssl.PROTOCOL_TLS_CLIENT, [key])
        return found

    def identify(self, tls: ssl.SSLObject) -> Identity:
        """Who is at the other end of a connection whose handshake is done."""
        der = tls.getpeercert(binary_form=True)
        if der is None:
            return Identity("", "no-certificate", "no certificate was sent", 0.0, 0.0)
        found = self._known.get(der)
        if found is None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            found = self._known[der] = self._identify(tls, der)
        return found

    def _identify(self, tls: ssl.SSLObject, der: bytes) -> Identity:
        key, reason, message = "", "", ""
        try:
            key = self.table.identify(der)
        except UnknownPeerError as error:
            reason, message = error.reason, str(error)
        said = tls.getpeercert() or {}
        since = ssl.cert_time_to_seconds(str(said.get("notBefore")))
        until = ssl.cert_time_to_seconds(str(said.get("notAfter")))
        return Identity(key, reason, message, since, until)

    def _make(self, protocol: int, keys: list[str]) -> ssl.SSLContext:
        context = peer_context(protocol, b"".join(self.table.roots(keys)))
        if self.own is not None:
            _load(context, self.own)
        return context


def peer_context(protocol: int, roots: bytes | str) -> ssl.SSLContext:
    """For TLS with gateways that one of these roots vouches for, in DER or PEM.

    It has no certificate of its own, and does not ask which cluster's they are.
    """
    context = ssl.SSLContext(protocol)
    context.check_hostname = False  # it knows nothing of SPIFFE IDs: `PeerTable.identify` does
    context.verify_mode = ssl.CERT_REQUIRED
    # Whatever is listed as a root is one, also where a larger CA stands above it.
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([ALPN])
    if roots:
        context.load_verify_locations(cadata=roots)
    return context


def _load(context: ssl.SSLContext, own: Leaf) -> None:
    """Python takes certificate and key from a file alone: from one that is nowhere but in memory."""
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(own.key + own.chain)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


class PeerTls:
    """TLS with other clusters' gateways in one process: what it stands on, and what became of handshakes."""

    def __init__(self, memory: int = DEFAULT_BUDGET.traffic) -> None:
        """`memory`: bytes of all traffic of the process."""
        self.strangers = Strangers(memory, TLS_BYTES + CONNECTION_BYTES)
        self.contexts = Contexts(None, NO_PEERS)
        self.open = 0
        """Connections that are open or in the handshake."""
        self.handshakes: dict[tuple[str, str], int] = {}
        """By side (accepted, dialled) and result: `ok`, or a reason."""

    def take(self, *, own: Leaf | None = None, table: PeerTable | None = None) -> None:
        """Use another certificate, another table or both from now on. Contexts are made where that is new."""
        before = self.contexts
        own = own or before.own
        table = before.table if table is None else table
        if own != before.own or table != before.table:
            self.contexts = Contexts(own, table)

    def count(self, side: str, result: str) -> None:
        key = (side, result)
        self.handshakes[key] = self.handshakes.get(key, 0) + 1

    def describe(self) -> dict[str, object]:
        """What has been loaded, for whoever waits until all gateways have, or looks who knows whom.

        `peers`: fingerprints of the roots by cluster; `roots`: from when to when each counts; `gateways`: the
        clusters that are asked over TLS, and where; `plain`: others' gateways are served over plain HTTP too.
        """
        own, table = self.contexts.own, self.contexts.table
        return {
            "certificate": own is not None and own.until.timestamp() > time(),
            "since": own.since.isoformat() if own is not None else None,
            "until": own.until.isoformat() if own is not None else None,
            "peers": table.fingerprints(),
            "roots": {
                name: {"since": since.isoformat(), "until": until.isoformat()}
                for _, name, since, until in table.lifetimes()
            },
            "gateways": {
                key: str(peer.endpoint) for key, peer in table.peers.items() if peer.endpoint is not None
            },
            "plain": not table.closed,
        }

    def gauges(self) -> dict[str, int]:
        """For metrics: handshakes, and when this gateway's own certificate and the roots of others end."""
        own, table = self.contexts.own, self.contexts.table
        found = {
            f'gateway_tls_handshakes_total{{side="{side}",result="{result}"}}': count
            for (side, result), count in sorted(self.handshakes.items())
        }
        if own is not None:
            found["gateway_certificate_expiry_seconds"] = int(own.until.timestamp())
        for key, name, _, until in table.lifetimes():
            found[f'gateway_root_expiry_seconds{{cluster="{key}",root="{name}"}}'] = int(until.timestamp())
        return found


def usable_until(since: float, until: float, now: float, part: float) -> float:
    """Until when a connection that is made now, by a certificate of that time, is used for new requests.

    `part`: where in the time over which connections are replaced, from 0 for its end to 1 for its beginning.
    """
    end = until - (until - since) * SPARE
    return end - min((until - since) * SPREAD, max(end - now, 0.0)) * part
