"""Load balancing of a route: smooth weighted round robin, ejection, and the order of retries.

State lives beside the snapshot, one `RouteState` per route in use, and is carried over when a new snapshot
has the same route, so that a change elsewhere neither restarts the rotation nor forgets what is broken. Time
comes in as an argument, in seconds of any monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final
from zlib import crc32

from gateway.core.affinity import HASHING, LEAST_WORK, Affinity
from gateway.core.health import EndpointHealth
from gateway.core.policy import FAIL_OVER
from gateway.core.route import Endpoint, Route, WeightedCluster

LATENCY_BUCKETS: Final[tuple[float, ...]] = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)
"""Upper bounds in seconds of the latency histogram."""

SCALE: Final = 100
"""Weights are counted in hundredths, so that a cluster of weight 1 can grow back in steps."""

RETRY_BUDGET: Final = 100.0
"""Retries a route may have saved up: a burst when a cluster dies, not a storm that kills the next one."""

RETRY_EARNED: Final = 0.2
"""Retries each request earns for its route: on average at most one in five is sent again."""


SCANNING: Final = frozenset((LEAST_WORK, HASHING))
"""Balancers that must look at every endpoint."""


# How choosy a pick is; each is tried only when the one before found nobody. Numbers, not an enum: to go
# through that one's members took longer than all else about a pick.
GRADED: Final = 0
"""Leave out who is ejected; who came back a short while ago gets a part."""
FULL: Final = 1
"""Leave out who is ejected."""
PANIC: Final = 2
"""Nobody is left out: a guess is better than a certain failure."""
MODES: Final = (GRADED, FULL, PANIC)


class ClusterState:
    """One cluster of one route: its rotation, its endpoints and its counters."""

    __slots__ = (
        "buckets",
        "cluster",
        "codes",
        "current",
        "elsewhere",
        "endpoints",
        "failovers",
        "identity",
        "kind",
        "logged",
        "mark",
        "next",
        "one",
        "plain",
        "reason",
        "remote",
        "retries",
        "row",
        "seconds",
        "sidecar",
        "status",
        "turning",
        "weight",
    )

    def __init__(
        self, cluster: WeightedCluster, endpoints: list[EndpointHealth], kind: str = "", reason: str = ""
    ) -> None:
        self.cluster = cluster
        self.remote = cluster.remote
        self.identity = cluster.identity
        self.sidecar = cluster.sidecar
        self.plain = cluster.rewrite is None and cluster.sidecar is None and not cluster.prefix
        """It is asked for the target that came."""
        self.reason = reason
        """Why this cluster is chosen when nothing is wrong."""
        self.weight = cluster.weight * SCALE if endpoints else 0
        self.current = 0
        self.endpoints = endpoints
        self.kind = kind
        self.turning = self.weight > 0 and kind not in SCANNING
        """Its endpoints have their turns while all are well."""
        self.one = endpoints[0] if len(endpoints) == 1 else None
        """The only endpoint."""
        self.next = 0
        self.codes: dict[int, int] = {}
        """Requests by the status they ended with, but for the last ones: those in a row had the same."""
        self.status = 0
        self.row = 0
        """How many of the last ones ended with `status`. Others read `by_status`."""
        self.buckets = [0] * (len(LATENCY_BUCKETS) + 1)
        self.seconds = 0.0
        self.retries = 0
        """Attempts here that were followed by another one: they failed, or all connections were busy."""
        self.elsewhere = False
        """Others are the policy's first choice."""
        self.failovers = 0
        """Answers from here to requests for which another cluster was the first choice."""
        self.logged = ""
        """What the access log says of the cluster, once it has."""
        self.mark = b""
        """What a request says once it was brought to this cluster's endpoints, once it has."""

    def count(self, status: int) -> None:
        """Count a request that has ended. Of thousands of clusters each look-up is far away in memory."""
        if status != self.status:
            codes = self.by_status()
            self.status, self.row = status, 0
            self.codes = codes
        self.row += 1

    def by_status(self) -> dict[int, int]:
        """How many requests have ended with each status: a copy."""
        codes = dict(self.codes)
        if self.row:
            codes[self.status] = codes.get(self.status, 0) + self.row
        return codes

    def turn(self) -> EndpointHealth | None:
        """The endpoint whose turn it is, when there is nothing to compare and it is well."""
        if not self.turning:
            return None
        health = self.one
        if health is None:
            health = self.endpoints[self.next % len(self.endpoints)]
        if health.returned or health.down:
            return None
        self.next += 1
        return health

    def find(
        self, now: float, tried: Collection[EndpointHealth], mode: int, key: bytes = b""
    ) -> EndpointHealth | None:
        """The endpoint this cluster would use, of those not tried and, unless in panic, not left out."""
        endpoints = self.endpoints
        if not endpoints:
            return None
        start = self.next % len(endpoints)
        graded = mode == GRADED
        first = endpoints[start]
        if (
            not tried
            and self.kind not in SCANNING
            and not first.ejected(now)
            and (not graded or first.fit(now))
        ):
            return first
        turn = endpoints[start:] + endpoints[:start]
        fitting = [
            health for health in turn if health not in tried and (mode == PANIC or not health.ejected(now))
        ]
        if not fitting:
            return None
        if self.kind == LEAST_WORK:
            return min(
                fitting, key=lambda health: (health.active + 1) / (health.slow_start(now) if graded else 1.0)
            )
        if self.kind == HASHING and key:
            # Highest score wins: when an endpoint goes, only its own keys move.
            return max(fitting, key=lambda health: crc32(health.tag.encode(), crc32(key)))
        return next((health for health in fitting if not graded or health.fit(now)), fitting[0])

    def took(self, health: EndpointHealth, now: float) -> None:
        """This endpoint was chosen: the turn goes on, past it and those that were left out before it."""
        endpoints = self.endpoints
        first = endpoints[self.next % len(endpoints)]
        if first.returned:
            first.credit = min(1.0, first.credit + first.slow_start(now))
            if health is first:
                first.credit -= 1.0
        if self.kind not in SCANNING:
            while endpoints[self.next % len(endpoints)] is not health:
                self.next += 1
        self.next += 1

    def slow_start(self, now: float) -> float:
        """Part of its weight it gets: that of its endpoint that has been back for longest."""
        best = 0.0
        for health in self.endpoints:
            if not health.ejected(now):
                if not health.returned:
                    return 1.0
                best = max(best, health.slow_start(now))
        return best


class Pick:
    """A choice and why it was made."""

    __slots__ = ("health", "reason", "state")

    def __init__(self, state: ClusterState, health: EndpointHealth, reason: str) -> None:
        self.state = state
        self.health = health
        self.reason = reason


class RouteState:
    """The moving part of one route."""

    __slots__ = (
        "asks", "budget", "clusters", "credit", "hashing", "home", "logged", "logged_host", "only",
        "priorities", "route", "sticky", "used",
    )  # fmt: skip

    def __init__(
        self, route: Route, health_of: Callable[[Route, WeightedCluster, Endpoint], EndpointHealth]
    ) -> None:
        self.route = route
        self.priorities = [
            [
                ClusterState(
                    cluster,
                    [health_of(route, cluster, endpoint) for endpoint in cluster.endpoints],
                    "" if cluster.remote else route.balancing.kind,
                    _reason(route, cluster, level),
                )
                for cluster in priority
            ]
            for level, priority in enumerate(route.priorities)
        ]
        self.clusters = [state for priority in self.priorities for state in priority]
        first = {state.cluster.key for state in self.priorities[0]}
        for state in self.clusters:
            state.elsewhere = state.cluster.key not in first
        self.only = self.priorities[0][0] if len(self.priorities[0]) == 1 else None
        """The cluster of the first priority, where there is no choice."""
        self.asks = any(state.remote and state.weight for state in self.clusters)
        """Other clusters' gateways may be asked for it."""
        self.sticky = route.balancing.sticky
        self.hashing = route.balancing.kind == HASHING
        self.home = self.priorities[0] if route.match is not None else self.clusters
        """Where a session keeps a request: one that matches a target goes there, wherever it was before."""
        self.credit = 0.0
        """Saved up fractions of requests for a priority that is coming back."""
        self.budget = RETRY_BUDGET
        self.used = 0.0
        """When it was last picked from."""
        self.logged = ""
        """What the access log says of the route and of `logged_host`, the Host it was last called by."""
        self.logged_host = b""

    def may_retry(self) -> bool:
        """Take one retry from the budget."""
        if self.budget < 1.0:
            return False
        self.budget -= 1.0
        return True

    def available(self, now: float, tried: Collection[EndpointHealth] = ()) -> bool:
        """Whether a request could be sent somewhere that is not left out."""
        return any(state.weight and state.find(now, tried, FULL) for state in self.clusters)

    def pick(
        self, now: float, tried: Collection[EndpointHealth] = (), affinity: Affinity | None = None
    ) -> Pick | None:
        """The next endpoint for a request, or for a replay that has `tried` some. None: nothing is left."""
        if not tried:
            self.used = now
            if self.budget < RETRY_BUDGET:
                self.budget += RETRY_EARNED
            only = self.only
            if affinity is None and only is not None:
                turn = only.turn()
                if turn is not None:
                    return Pick(only, turn, only.reason)
        key = b""
        if affinity is not None:
            key = affinity.key
            if affinity.cluster and not tried and (pick := self._stick(affinity, now)) is not None:
                return pick
        for mode in MODES:
            for level, priority in enumerate(self.priorities):
                if tried and level and self.route.policy == FAIL_OVER:
                    picked = self._heaviest(priority, now, tried, mode)
                else:
                    picked = self._rotate(priority, now, tried, mode, key)
                if picked is None:
                    continue
                state, health = picked
                if mode == GRADED and self._holds_back(level, priority, now):
                    continue
                reason = "last-resort" if mode == PANIC else "retry" if tried else state.reason
                return Pick(state, health, reason)
        return None

    def _holds_back(self, level: int, priority: list[ClusterState], now: float) -> bool:
        """Whether a priority that is only just back leaves this request to the priority after it."""
        if level + 1 >= len(self.priorities):
            return False
        slow_start = max(state.slow_start(now) for state in priority if state.weight)
        if slow_start >= 1.0:
            return False
        self.credit += slow_start
        if self.credit >= 1.0:
            self.credit -= 1.0
            return False
        return any(state.weight and state.find(now, (), FULL) for state in self.priorities[level + 1])

    def _stick(self, affinity: Affinity, now: float) -> Pick | None:
        """Back to where the session is, as long as that takes requests."""
        for state in self.home:
            if state.weight and affinity.is_of(state.cluster.key):
                for health in state.endpoints:
                    if (state.remote or affinity.is_at(health.name)) and not health.ejected(now):
                        return Pick(state, health, "session")
        return None

    @staticmethod
    def _rotate(
        priority: list[ClusterState], now: float, tried: Collection[EndpointHealth], mode: int, key: bytes
    ) -> tuple[ClusterState, EndpointHealth] | None:
        """Smooth weighted round robin over the clusters that can take the request now."""
        total = 0
        best: ClusterState | None = None
        best_health: EndpointHealth | None = None
        for state in priority:
            weight = state.weight
            if not weight:
                continue
            health = state.find(now, tried, mode, key)
            if health is None:
                continue
            if health.returned and mode == GRADED and (slow_start := state.slow_start(now)) < 1.0:
                weight = max(1, int(weight * slow_start))
            state.current += weight
            total += weight
            if best is None or state.current > best.current:
                best, best_health = state, health
        if best is None or best_health is None:
            return None
        best.current -= total
        best.took(best_health, now)
        return best, best_health

    @staticmethod
    def _heaviest(
        priority: list[ClusterState], now: float, tried: Collection[EndpointHealth], mode: int
    ) -> tuple[ClusterState, EndpointHealth] | None:
        """The cluster of most weight that is left: the order in which a failed local request moves on."""
        for state in sorted(priority, key=lambda state: -state.weight):
            health = state.find(now, tried, mode) if state.weight else None
            if health is not None:
                return state, health
        return None


def _reason(route: Route, cluster: WeightedCluster, level: int) -> str:
    if level:
        return "fail-over"
    if route.match is not None:
        return "match"
    if len(route.priorities[0]) > 1:
        return "weight"
    return "pinned" if cluster.remote else "local"
