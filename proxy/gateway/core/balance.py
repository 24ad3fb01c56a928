"""Which cluster and which endpoint gets a request: smooth weighted round robin, ejection, order of retries.

State lives beside the snapshot, one `RouteState` per route in use, and is carried over when a new snapshot has the
same route, so that a change elsewhere neither restarts the rotation nor forgets what is broken. Time comes in as
an argument, in seconds of any monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from gateway.core.health import EndpointHealth
from gateway.core.policy import FAIL_OVER
from gateway.core.route import Endpoint, Route, Share

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds of the latency histogram."""


class ShareState:
    """One cluster of one route: its rotation, its endpoints and its counters."""

    __slots__ = ("buckets", "codes", "current", "endpoints", "next", "seconds", "share", "weight")

    def __init__(self, share: Share, endpoints: list[EndpointHealth]) -> None:
        self.share = share
        self.weight = share.weight if endpoints else 0
        self.current = 0
        self.endpoints = endpoints
        self.next = 0
        self.codes: dict[int, int] = {}
        self.buckets = [0] * (len(LATENCY_BUCKETS) + 1)
        self.seconds = 0.0

    def find(self, now: float, tried: Collection[EndpointHealth], panic: bool) -> EndpointHealth | None:
        """The next endpoint in turn that was not tried and, unless in panic, is not ejected. Does not advance."""
        endpoints = self.endpoints
        count = len(endpoints)
        for step in range(count):
            health = endpoints[(self.next + step) % count]
            if health not in tried and (panic or health.ejected_until <= now):
                return health
        return None


class Pick:
    """A choice and why it was made."""

    __slots__ = ("health", "reason", "state")

    def __init__(self, state: ShareState, health: EndpointHealth, reason: str) -> None:
        self.state = state
        self.health = health
        self.reason = reason


class RouteState:
    """The moving part of one route."""

    __slots__ = ("route", "shares", "tiers")

    def __init__(self, route: Route, health_of: Callable[[Route, Share, Endpoint], EndpointHealth]) -> None:
        self.route = route
        self.tiers = [
            [ShareState(share, [health_of(route, share, endpoint) for endpoint in share.endpoints]) for share in tier]
            for tier in route.tiers
        ]
        self.shares = [state for tier in self.tiers for state in tier]

    @property
    def empty(self) -> bool:
        """No cluster can ever be chosen."""
        return not any(state.weight for state in self.shares)

    def pick(self, now: float, tried: Collection[EndpointHealth] = ()) -> Pick | None:
        """The next endpoint for a request, or for a replay that has `tried` some. None when nothing is left.

        Ejected endpoints are used only when there are no others: a guess is better than a certain failure.
        """
        for panic in (False, True):
            for level, tier in enumerate(self.tiers):
                if tried and level and self.route.policy == FAIL_OVER:
                    picked = self._heaviest(tier, now, tried, panic)
                else:
                    picked = self._rotate(tier, now, tried, panic)
                if picked is not None:
                    state, health = picked
                    return Pick(state, health, self._reason(state, level, bool(tried), panic))
        return None

    @staticmethod
    def _rotate(
        tier: list[ShareState], now: float, tried: Collection[EndpointHealth], panic: bool
    ) -> tuple[ShareState, EndpointHealth] | None:
        """Smooth weighted round robin over the clusters that can take the request now."""
        total = 0
        best: ShareState | None = None
        best_health: EndpointHealth | None = None
        for state in tier:
            if not state.weight:
                continue
            health = state.find(now, tried, panic)
            if health is None:
                continue
            state.current += state.weight
            total += state.weight
            if best is None or state.current > best.current:
                best, best_health = state, health
        if best is None or best_health is None:
            return None
        best.current -= total
        best.next = (best.next + 1) % len(best.endpoints)
        return best, best_health

    @staticmethod
    def _heaviest(
        tier: list[ShareState], now: float, tried: Collection[EndpointHealth], panic: bool
    ) -> tuple[ShareState, EndpointHealth] | None:
        """The cluster of most weight that is left: the order in which a failed local request moves on."""
        for state in sorted(tier, key=lambda state: -state.weight):
            health = state.find(now, tried, panic) if state.weight else None
            if health is not None:
                return state, health
        return None

    def _reason(self, state: ShareState, level: int, again: bool, panic: bool) -> str:
        if panic:
            return "last-resort"
        if again:
            return "retry"
        if level:
            return "fail-over"
        if len(self.tiers[0]) > 1:
            return "weight"
        return "pinned" if state.share.remote else "local"
