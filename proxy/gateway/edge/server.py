"""Listeners, workers' shared state and their life: start, swap, drain."""

from __future__ import annotations

from gateway.core.snapshot import Snapshot


class GatewayServer:
    """One gateway process: north-south, east-west and admin listeners over one routing snapshot.

    Not ready (`/readyz` 503) until `set_ready(True)`. Before the first `swap` every request is answered 404.
    Addresses are `host:port` or `[v6]:port`; port 0 picks a free one, see `addresses` after `start`.
    """

    def __init__(
        self,
        *,
        cluster_key: str,
        listen: str,
        east_west: str | None = None,
        admin: str | None = None,
        access_log: bool = True,
    ) -> None:
        raise NotImplementedError

    @property
    def addresses(self) -> dict[str, tuple[str, int]]:
        """Bound address by listener name: `listen`, `east-west`, `admin`."""
        raise NotImplementedError

    async def start(self) -> None:
        """Bind and serve. OSError when an address cannot be bound."""
        raise NotImplementedError

    def swap(self, snapshot: Snapshot) -> None:
        """Route every new request by this snapshot; requests under way finish on the one they started with."""
        raise NotImplementedError

    def set_ready(self, ready: bool) -> None:
        """What `/readyz` answers. Draining answers 503 whatever was set."""
        raise NotImplementedError

    async def drain(self, deadline_seconds: float) -> None:
        """Stop accepting, finish what runs, close idle connections; at the deadline abort the rest."""
        raise NotImplementedError
