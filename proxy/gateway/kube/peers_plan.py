"""What the hub tells each cluster of the others' gateways: their roots, and where they listen. Pure.

Each cluster says its own roots in its own Peer, and they count for that cluster alone. What is not known, as
of a member that is down since the hub started, stays as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.x509 import Certificate

from gateway.core.certificates import CertificateError, fingerprint, pem_of, read_roots
from gateway.core.objects import (
    FLOMESH,
    HUB,
    MANAGED_BY,
    Key,
    Object,
    section,
    spec_of,
    texts,
)
from gateway.core.peers import MOST_ROOTS
from gateway.kube.cluster_view import ClusterView
from gateway.kube.peer_objects import PeersPlan, is_hub_peer, is_own_peer, peer_name
from gateway.kube.resources import PEER

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Own:
    """What a cluster says of itself."""

    pems: tuple[str, ...]
    fingerprints: frozenset[str]
    listening: bool


def plan_peers(views: Sequence[ClusterView]) -> PeersPlan:
    """A cluster that has no Peer of its own has no mutual TLS: others are told nothing of it."""
    faults: dict[str, str] = {}
    own: dict[str, _Own | None] = {}
    for view in views:
        if view.peers is not None:
            try:
                own[view.key] = _own(view, faults)
            except Exception as error:
                # Whatever a member serves, the plan for the others must go on; it counts as not read.
                log.exception("%s: its roots cannot be evaluated", view.key)
                faults[view.key] = f"its roots cannot be evaluated: {type(error).__name__}"
    peers = {view.key: _wanted(view, views, own) for view in views if view.peers is not None}
    known = {key: _known(key, views, own) for key, said in own.items() if said is not None}
    return PeersPlan(peers, known, faults)


def _own(view: ClusterView, faults: dict[str, str]) -> _Own | None:
    found = (view.peers or {}).get(("", peer_name(view.key)))
    if found is None or not is_own_peer(found, view.key):
        return None
    said = texts(spec_of(found), "roots")
    roots: list[Certificate] = []
    for pem in said[:MOST_ROOTS]:
        try:
            roots.extend(read_roots(pem, view.key))
        except CertificateError as error:
            faults[view.key] = f"its roots are not told to others: {error}"
    if not roots:
        return None
    del roots[MOST_ROOTS:]
    # Written again by us: what stands around certificates in PEM goes nowhere.
    pems = tuple(pem_of(root).decode() for root in roots)
    return _Own(pems, frozenset(map(fingerprint, roots)), spec_of(found).get("listening") is True)


def _wanted(
    view: ClusterView, views: Sequence[ClusterView], own: Mapping[str, _Own | None]
) -> dict[Key, Mapping[str, Any]]:
    existing = view.peers or {}
    found: dict[Key, Mapping[str, Any]] = {}
    for other in views:
        key = ("", peer_name(other.key))
        if other.key == view.key:
            continue
        if other.key not in own:  # never read
            if key in existing and is_hub_peer(existing[key]):
                found[key] = _body(key[1], spec_of(existing[key]))
        elif (said := own[other.key]) is not None:
            spec: dict[str, Any] = {"clusterKey": other.key, "roots": list(said.pems)}
            if said.listening and other.address is not None and other.peers_port:
                spec["gateway"] = {"ip": other.address.ip, "port": other.peers_port}
            found[key] = _body(key[1], spec)
    return found


def _body(name: str, spec: Object) -> Mapping[str, Any]:
    metadata = {"name": name, "labels": {MANAGED_BY: HUB}}
    return {"apiVersion": FLOMESH, "kind": PEER.kind, "metadata": metadata, "spec": dict(spec)}


def _known(key: str, views: Sequence[ClusterView], own: Mapping[str, _Own | None]) -> tuple[str, ...]:
    """Of a cluster alone: all of its roots, for nobody else has to know them. With a cluster of which nothing
    is known, as of one that is down: none. What that one trusts may be old, and it comes back with it."""
    said = own[key]
    found = set(said.fingerprints) if said is not None else set()
    for other in views:
        if other.key not in own:
            return ()
        if other.key != key and own[other.key] is not None:
            peer = (other.peers or {}).get(("", peer_name(key)), {})
            found &= set(texts(section(peer, "status"), "trusted")) if is_hub_peer(peer) else set()
    return tuple(sorted(found))
