"""What the hub tells each cluster of the others' gateways: their roots, and where they listen. Pure.

Each cluster says its own roots in its own Peer, and they count for that cluster alone. What is not known, as
of a member that is down since the hub started, stays as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
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
from gateway.core.peers import MOST_ROOTS, is_own_peer
from gateway.core.route import Endpoint
from gateway.kube.cluster_view import ClusterView
from gateway.kube.peer_objects import Listener, PeersPlan, is_hub_peer, peer_name
from gateway.kube.resources import PEER

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Own:
    """What a cluster says of itself."""

    pems: tuple[str, ...]
    fingerprints: frozenset[str]
    issuing: str
    """Fingerprint of the root that issues now: the first one."""
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
    listeners = _listeners(views, own)
    unreached = {view.key for view in views if not view.peers_reached} & listeners.keys()
    peers = {view.key: _wanted(view, views, own, unreached) for view in views if view.peers is not None}
    said: dict[str, dict[str, Any]] = {}
    for view in views:
        if own.get(view.key) is not None:
            said[view.key] = {"known": _known(view.key, views, own)}
            if (alone := _tls_alone(view, views, own)) is not None:
                said[view.key]["tlsAlone"] = alone
    return PeersPlan(peers, said, faults, listeners)


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
    listening = spec_of(found).get("listening") is True
    return _Own(pems, frozenset(map(fingerprint, roots)), fingerprint(roots[0]), listening)


def _wanted(
    view: ClusterView,
    views: Sequence[ClusterView],
    own: Mapping[str, _Own | None],
    unreached: Collection[str],
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
            gateway = _gateway(other, said)
            told = _told(view, other.key) == gateway
            if gateway is not None and (told or (other.key not in unreached and _prove(view, other, own))):
                spec["gateway"] = gateway
            found[key] = _body(key[1], spec)
    return found


def _gateway(view: ClusterView, said: _Own) -> Object | None:
    """Where its gateways listen with mutual TLS, as others are told it."""
    if not said.listening or view.address is None or not view.peers_port:
        return None
    return {"ip": view.address.ip, "port": view.peers_port}


def _told(view: ClusterView, key: str) -> Object | None:
    """What a cluster has been told of where another one's gateways listen."""
    return section(spec_of(_hub_peer(view, key)), "gateway") or None


def _prove(view: ClusterView, other: ClusterView, own: Mapping[str, _Own | None]) -> bool:
    """Whether the gateways of a cluster can prove to those of another one whose they are: all of them have a
    certificate, and all of those trust the root that issues it. Who asks before that is refused.
    """
    said = own.get(view.key)
    return said is not None and said.listening and said.issuing in _trusted(other, view.key)


def _tls_alone(
    view: ClusterView, views: Sequence[ClusterView], own: Mapping[str, _Own | None]
) -> bool | None:
    """Whether all gateways of all others ask a cluster where it listens, as they say. None: not known of
    some, as of one that is down, which comes back with what it was told.
    """
    said = own[view.key]
    gateway = _gateway(view, said) if said is not None else None
    if gateway is None:
        return False
    others = [other for other in views if other.key != view.key]
    where = str(Endpoint(gateway["ip"], gateway["port"]))
    if any(other.key in own and _asked(other, view.key) != where for other in others):
        return False
    return True if all(other.key in own for other in others) else None


def _asked(view: ClusterView, key: str) -> str:
    """Where all gateways of a cluster ask another one over TLS; empty where they do not."""
    return str(section(_hub_peer(view, key), "status").get("asked") or "")


def _trusted(view: ClusterView, key: str) -> Sequence[str]:
    """Fingerprints of another cluster's roots that all gateways of a cluster trust."""
    return texts(section(_hub_peer(view, key), "status"), "trusted")


def _hub_peer(view: ClusterView, key: str) -> Object:
    """The hub's Peer of another cluster in a cluster; empty where there is none."""
    peer = (view.peers or {}).get(("", peer_name(key)), {})
    return peer if is_hub_peer(peer) else {}


def _listeners(views: Sequence[ClusterView], own: Mapping[str, _Own | None]) -> dict[str, Listener]:
    """Clusters that listen, but for those of which the hub's own cluster has been told so: by this hub or one
    before it, which has reached them.
    """
    home = next((view for view in views if view.front_door), None)
    found: dict[str, Listener] = {}
    for view in views:
        said = own.get(view.key)
        gateway = _gateway(view, said) if said is not None else None
        if said is None or gateway is None or (home is not None and _told(home, view.key) == gateway):
            continue
        found[view.key] = Listener(str(gateway["ip"]), int(gateway["port"]), said.pems)
    return found


def _body(name: str, spec: Object) -> Mapping[str, Any]:
    metadata = {"name": name, "labels": {MANAGED_BY: HUB}}
    return {"apiVersion": FLOMESH, "kind": PEER.kind, "metadata": metadata, "spec": dict(spec)}


def _known(key: str, views: Sequence[ClusterView], own: Mapping[str, _Own | None]) -> list[str]:
    """Of a cluster alone: all of its roots, for nobody else has to know them. With a cluster of which nothing
    is known, as of one that is down: none. What that one trusts may be old, and it comes back with it."""
    said = own[key]
    found = set(said.fingerprints) if said is not None else set()
    for other in views:
        if other.key not in own:
            return []
        if other.key != key and own[other.key] is not None:
            found &= set(_trusted(other, key))
    return sorted(found)
