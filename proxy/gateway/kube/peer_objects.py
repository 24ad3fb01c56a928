"""Peer objects of a cluster: whose they are, and a plan of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.core.objects import HUB, MANAGED_BY, Key, Object, label


@dataclass(frozen=True, slots=True)
class Listener:
    """Where a cluster's gateways listen with mutual TLS, and by which of its roots, in PEM, they prove it."""

    ip: str
    port: int
    roots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PeersPlan:
    """By cluster key, of those whose Peers were read."""

    peers: Mapping[str, Mapping[Key, Mapping[str, Any]]] = field(default_factory=dict)
    """The Peers that it should have of the others."""
    said: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What is said to it in the status of its own Peer: which of its roots the gateways of all others trust
    (`known`), and whether they all ask it over TLS (`tlsAlone`, not there while that is not known)."""
    faults: Mapping[str, str] = field(default_factory=dict)
    """What is said of a cluster whose roots cannot count."""
    listeners: Mapping[str, Listener] = field(default_factory=dict)
    """Clusters that say they listen, of which the hub's own cluster has not been told it yet."""


NO_PEERS_PLAN = PeersPlan()


def is_hub_peer(peer: Object) -> bool:
    return label(peer, MANAGED_BY) == HUB


def peer_name(cluster_key: str) -> str:
    """Of a cluster's Peer in any cluster: that of its Cluster object."""
    return cluster_key.rpartition("/")[2]
