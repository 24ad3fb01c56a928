"""A platform whose gateways prove to each other whose they are; their pages are made by their own code."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from platforms.world import World, key

from gateway.core.certificates import fingerprint
from gateway.core.issuing import Issuer, issue, make_root
from gateway.core.peers import Peer, PeerTable
from gateway.core.route import Endpoint
from gateway.edge.contexts import PeerTls

HOURS, DAYS = 24, 30
"""How long certificates and roots count here."""


class Proofs:
    """The CA of each cluster of a world, as of now; `tell` has its gateways say what they have loaded."""

    def __init__(self, world: World, mode: str = "permissive") -> None:
        world.config["gateway"] = {"mutualTls": mode}
        for number, cluster in enumerate(world.config["clusters"]):
            if cluster.get("role") != "control-plane":
                cluster["peersPort"] = 8440 + number
        self.world = world
        self.now = datetime.now(UTC)
        world.at = self.now.timestamp()
        self.listening = {name for name in world.clusters if name != "control-plane"}
        self.roots: dict[str, Issuer] = {
            name: make_root(key(name), self.now, timedelta(days=DAYS)) for name in world.clusters
        }
        self.unknown: set[tuple[str, str]] = set()
        """(who does not know the roots of, whom)."""
        self.open: set[str] = set()
        """Clusters that serve the gateways of others over plain HTTP too."""
        self.without: set[str] = set()
        """Clusters whose gateways have no certificate."""
        self.tell()

    def root(self, name: str) -> str:
        return fingerprint(self.roots[name].certificate)

    def tell(self) -> None:
        for name, cluster in self.world.clusters.items():
            tls = PeerTls()
            peers = {
                key(other): Peer(
                    key(other),
                    (root.certificate,),
                    Endpoint("172.28.0.1", 8443, key(other)) if other in self.listening else None,
                )
                for other, root in self.roots.items()
                if other != name and (name, other) not in self.unknown
            }
            lifetime = timedelta(hours=HOURS)
            own = None if name in self.without else issue(self.roots[name], key(name), self.now, lifetime)
            tls.take(own=own, table=PeerTable(peers, closed=name not in self.open))
            page: dict[str, Any] = tls.describe()
            cluster.peers = page
