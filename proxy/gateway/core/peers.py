"""Peers: other clusters' gateways, by which roots they prove who they are, and where they listen.

What a certificate says counts as far as the table goes: a cluster that is not in it is nobody, and one that
is proves itself by its own roots alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from gateway.core.fields import FieldError, address, mapping, port_number, text
from gateway.core.objects import CONTROLLER, MANAGED_BY, Key, Object, label, section, spec_of
from gateway.core.route import Endpoint
from gateway.core.spiffe import CLUSTER_KEY

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.x509 import Certificate

MOST_ROOTS = 4
"""Of a cluster. A rotation needs two."""


class MutualTls(Enum):
    """How gateways of different clusters talk."""

    OFF = "off"
    """Plain HTTP."""
    ACCEPT = "accept"
    """As `permissive`, but nobody is told any more to ask by TLS: on the way back, before nobody listens."""
    PERMISSIVE = "permissive"
    """TLS with whoever listens for it, else plain HTTP: while clusters change over one by one. A cluster that
    all others ask over TLS serves their gateways in no other way."""
    STRICT = "strict"
    """TLS alone: who does not listen for it is not asked, and nobody is a gateway without a certificate."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another cluster's gateways."""

    key: str
    """Cluster key."""
    roots: tuple[Certificate, ...] = field(repr=False)
    endpoint: Endpoint | None = None
    """Where they listen for other gateways; None while they do not."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is at the other end of a connection from another gateway."""

    key: str
    """Of the cluster that its certificate proves; empty when it proves none."""
    reason: str = ""
    """Why nothing is served to it, as a short word; empty for a peer."""
    message: str = ""


class UnknownPeerError(Exception):
    """A certificate that proves nothing here. `reason` is a short word for logs and metrics."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PeerTable:
    """All peers of a cluster, by cluster key. The cluster itself is none."""

    peers: Mapping[str, Peer] = field(default_factory=dict)
    closed: bool = False
    """Here other clusters' gateways are served over TLS alone: the plain port is for everybody else."""

    @property
    def hosts(self) -> set[str]:
        """Where gateways of other clusters listen."""
        return {peer.endpoint.host for peer in self.peers.values() if peer.endpoint is not None}

    def endpoint(self, key: str) -> Endpoint | None:
        """Where the gateways of a cluster listen for others."""
        peer = self.peers.get(key)
        return peer.endpoint if peer is not None else None

    def fingerprints(self) -> dict[str, list[str]]:
        """What tells the roots of each cluster apart."""
        found: dict[str, list[str]] = {key: [] for key in self.peers}
        for key, name, _ in self._named_roots():
            found[key].append(name)
        return found

    def lifetimes(self) -> list[tuple[str, str, datetime, datetime]]:
        """Each root: its cluster, what tells it apart, and from when to when it counts."""
        return [
            (key, name, root.not_valid_before_utc, root.not_valid_after_utc)
            for key, name, root in self._named_roots()
        ]

    def _named_roots(self) -> list[tuple[str, str, Certificate]]:
        if not self.peers:
            return []
        # 9 MiB that a gateway without mutual TLS does not need.
        from gateway.core.certificates import fingerprint  # noqa: PLC0415

        return [(key, fingerprint(root), root) for key, peer in self.peers.items() for root in peer.roots]

    def roots(self, keys: Iterable[str]) -> list[bytes]:
        """The roots of these clusters in DER."""
        # 9 MiB that a gateway without mutual TLS does not need.
        from gateway.core.certificates import der_of  # noqa: PLC0415

        return [der_of(root) for key in keys if key in self.peers for root in self.peers[key].roots]

    def identify(self, der: bytes) -> str:
        """The cluster whose gateways have this certificate. UnknownPeerError says why it is nobody's here.

        Everything that is asked of a certificate is asked here, but for what OpenSSL has asked by then: its
        time, and that it has the key.
        """
        # 9 MiB that a gateway without mutual TLS does not need.
        from gateway.core.certificates import (  # noqa: PLC0415
            CertificateError,
            claimed_cluster,
            fingerprint,
            is_issued_by,
            read_der,
        )

        try:
            leaf = read_der(der)
            key = claimed_cluster(leaf)
        except CertificateError as error:
            raise UnknownPeerError("unreadable-certificate", str(error)) from error
        if not key:
            message = f"certificate {fingerprint(leaf)} names no cluster by one SPIFFE ID and nothing else"
            raise UnknownPeerError("no-cluster-named", message)
        peer = self.peers.get(key)
        if peer is None:
            raise UnknownPeerError("unknown-cluster", f"{key} is no cluster that is known here")
        if not is_issued_by(leaf, peer.roots):
            roots = ", ".join(fingerprint(root) for root in peer.roots)
            message = f"certificate {fingerprint(leaf)} names {key}, whose roots ({roots}) did not issue it"
            raise UnknownPeerError("foreign-root", message)
        return key


NO_PEERS = PeerTable()


def read_peer(
    raw: Object, report: Callable[[FieldError], None], check_target: Callable[[str, str], None]
) -> Peer:
    """A Peer object. Roots that do not count are reported and left out; FieldError when nothing is left.

    `check_target` raises FieldError for an address, and where it stands, that is never dialled.
    """
    spec = mapping(raw.get("spec"), "spec")
    key = text(spec.get("clusterKey"), "spec.clusterKey")
    if not CLUSTER_KEY.fullmatch(key):
        raise FieldError("Invalid", f"spec.clusterKey {key!r} is not region/zone/group/name")
    roots = _roots(spec.get("roots"), key, report)
    endpoint = None
    if gateway := mapping(spec.get("gateway"), "spec.gateway"):
        host = address(gateway.get("ip"), "spec.gateway.ip")
        check_target(host, "spec.gateway.ip")
        endpoint = Endpoint(host, port_number(gateway.get("port"), "spec.gateway.port"), key)
    return Peer(key, roots, endpoint)


def _roots(listed: object, key: str, report: Callable[[FieldError], None]) -> tuple[Certificate, ...]:
    if not isinstance(listed, list | tuple) or not 1 <= len(listed) <= MOST_ROOTS:
        raise FieldError("Invalid", f"spec.roots is not a list of 1 to {MOST_ROOTS} certificates in PEM")
    found: list[Certificate] = []
    for number, pem in enumerate(listed):
        try:
            found.extend(_read(text(pem, f"spec.roots[{number}]"), key))
        except ValueError as error:
            report(FieldError("InvalidRoot", f"spec.roots[{number}]: {error}"))
    if len(found) > MOST_ROOTS:
        raise FieldError("Invalid", f"spec.roots has {len(found)} certificates: at most {MOST_ROOTS}")
    if not found:
        raise FieldError("InvalidRoot", f"no root of {key} counts: its gateways cannot prove who they are")
    return tuple(found)


@lru_cache(maxsize=1024)
def _read(pem: str, key: str) -> tuple[Certificate, ...]:
    # 9 MiB that a gateway without mutual TLS does not need.
    from gateway.core.certificates import read_roots  # noqa: PLC0415

    return read_roots(pem, key)


def read_peers(
    objects: Mapping[Key, Object],
    own: str,
    report: Callable[[Key, FieldError], None],
    check_target: Callable[[str, str], None],
    *,
    closed: bool = False,
) -> PeerTable:
    """The table of Peer objects. Faults are reported by object; of two for one cluster the first counts."""
    found: dict[str, Peer] = {}
    for key, raw in sorted(objects.items()):
        try:
            peer = read_peer(raw, partial(report, key), check_target)
        except FieldError as error:
            report(key, error)
            continue
        if peer.key in found:
            report(key, FieldError("DuplicateCluster", f"another Peer names {peer.key}: the first counts"))
        elif peer.key != own:
            found[peer.key] = peer
    return PeerTable(found, closed)


def is_own_peer(peer: Object, cluster_key: str) -> bool:
    """Whether a cluster's controller says in it the cluster's own roots."""
    return label(peer, MANAGED_BY) == CONTROLLER and spec_of(peer).get("clusterKey") == cluster_key


def asked_over_tls_alone(objects: Iterable[Object], own: str) -> bool:
    """Whether all other clusters' gateways do so, as the hub says in the Peer that its controller keeps."""
    return any(is_own_peer(raw, own) and section(raw, "status").get("tlsAlone") is True for raw in objects)
