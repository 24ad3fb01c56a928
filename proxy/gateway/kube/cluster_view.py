"""What the hub knows of one cluster at one moment: all that a plan is made from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from gateway.core.objects import Key, Object


@dataclass(frozen=True, slots=True)
class Address:
    """A cluster's gateway as the others dial it."""

    host: str
    ip: str
    port: int


@dataclass(frozen=True, slots=True)
class ClusterView:
    """One cluster as the hub knows it now."""

    key: str
    address: Address | None
    """None: nobody can import from it (no Cluster object, or its host name never resolved)."""
    exports: Mapping[Key, Object] | None
    """None: never read."""
    services: Mapping[Key, Object] = field(default_factory=dict)
    imports: Mapping[Key, Object] | None = None
    """What is there now, whoever made it. None: never read, so there is nothing to compare a plan with."""
    namespaces: Collection[str] = ()
    """Those that exist there: imports go into no other."""
    may_export: Collection[str] | None = None
    """Namespaces whose Services others may import from it, by the control plane's word. None: any."""
    first_seen: Mapping[str, str] | None = None
    """When the hub first saw a claim (`first_seen`). None: when the objects say they were made."""
    peers: Mapping[Key, Object] | None = None
    """Its Peers. None: never read, or there is no mutual TLS."""
    peers_port: int = 0
    """Where its gateways listen with mutual TLS, at the address; 0: nowhere."""
    peers_reached: bool = True
    """The hub has reached its gateways there, or need not do so before others are told of it."""
    front_door: bool = False
    """It is the control plane, whose gateway serves the paths of all exporters."""

    @property
    def is_read(self) -> bool:
        return self.exports is not None and self.address is not None
