"""Where a gateway stands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    cluster_key: str
    front_door: bool
    namespace: str
    """Namespace of the gateway's own pods."""
    east_west_port: int
    """0 when the gateway has no east-west listener: then imported services get no stand-ins."""
    service: str = "gateway"
    """The Service that selects the gateway's pods."""
