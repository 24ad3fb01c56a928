"""What all connections of one process share: the snapshot in force, its moving parts, limits, clock,
counters."""

from __future__ import annotations

import asyncio
import os
from enum import Enum
from typing import TYPE_CHECKING

from gateway.core.balance import RouteState
from gateway.core.health import EndpointHealth
from gateway.core.limits import Limits
from gateway.core.response import ResponseHead
from gateway.core.route import Endpoint, Route, WeightedCluster
from gateway.core.snapshot import Snapshot
from gateway.core.trust import NOBODY, TrustedProxies
from gateway.edge.accesslog import AccessLog
from gateway.edge.memo import Known, Memo
from gateway.edge.metrics import Metrics
from gateway.edge.pool import Pool

if TYPE_CHECKING:
    from gateway.edge.client import Client

TICK_SECONDS = 0.25
"""How often deadlines are looked at: the precision of every time limit."""

FORGET_TICKS = 240
"""Ticks (a minute) after which routes no snapshot names any more are forgotten, with their endpoints."""

FORGET_AT_ONCE = 20
"""Routes or pools looked at before requests have their turn again."""

HEXADECIMAL = tuple(b"%02x" % number for number in range(256))


class Listener(Enum):
    """How requests of a listener are routed."""

    NORTH_SOUTH = "north-south"
    EAST_WEST = "east-west"


class Worker:
    """One per process. Hot fields are plain attributes: they are read for every request."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        snapshot: Snapshot,
        limits: Limits,
        log: AccessLog | None,
        trusted: TrustedProxies = NOBODY,
    ) -> None:
        self.loop = loop
        self.trusted = trusted
        self.limits = limits
        self.attempts = limits.attempts
        self.replay_bytes = limits.replay_bytes
        self.head_bytes = limits.head_bytes
        self.first_byte_seconds = limits.first_byte_seconds
        self.stall_seconds = limits.stall_seconds
        self.total_seconds = limits.total_seconds
        self.idle_seconds = limits.idle_seconds
        self.upstream_idle = limits.upstream_idle
        self.log = log
        self.snapshot = snapshot
        self.generation = 0
        self.metrics = Metrics()
        self.draining = False
        """Answers ask their clients to reconnect."""
        self.stopping = False
        """No connection is kept any more."""
        self.now = loop.time()
        """Time of the last tick; for deadlines, where a quarter of a second does not matter."""
        self.clients: set[Client] = set()
        self.pools: dict[Endpoint, Pool] = {}
        self.health: dict[tuple[str, Endpoint], EndpointHealth] = {}
        self.requests: dict[Listener, Memo[Known]] = {listener: Memo() for listener in Listener}
        self.responses: Memo[ResponseHead] = Memo()
        self._states: dict[Route, RouteState] = {}
        self._by_id: dict[int, RouteState] = {}
        self._id_prefix = os.urandom(8).hex().encode()
        self._id_start = b""
        self._id_count = 0
        self.idle_event = asyncio.Event()
        """Set whenever the last client connection closes."""
        self._tick_handle: asyncio.TimerHandle | None = None
        self._ticks = 0
        self._forgot = 0
        """Generation of the snapshot beside which nothing is left to forget."""
        self._forgetting: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._tick_handle = self.loop.call_later(TICK_SECONDS, self._tick)

    def stop(self) -> None:
        if self._tick_handle is not None:
            self._tick_handle.cancel()
        if self._forgetting is not None:
            self._forgetting.cancel()
        for pool in self.pools.values():
            pool.close()

    def swap(self, snapshot: Snapshot) -> None:
        """Exchanges under way keep the state they hold; equal routes keep theirs."""
        self.snapshot = snapshot
        self.generation += 1
        self._by_id = {}
        for memo in self.requests.values():
            memo.clear()

    def state(self, route: Route) -> RouteState:
        """The moving part of a route of the snapshot in force; made when first asked for."""
        state = self._by_id.get(id(route))
        if state is None:
            state = self._states.get(route)
            if state is None:
                state = self._states[route] = RouteState(route, self._health)
            self._by_id[id(route)] = state
        return state

    def give_up(self, health: EndpointHealth) -> None:
        """An endpoint is known to be dead: whoever waits for it and can go elsewhere does so now."""
        for client in list(self.clients):
            if client.exchange is not None:
                client.exchange.give_up(health)
        if health.pool is not None:
            health.pool.close_idle()

    def request_id(self) -> bytes:
        """24 hexadecimal digits, unique as long as 16 random ones of processes are."""
        low = self._id_count & 255
        if not low:
            self._id_start = b"%b%06x" % (self._id_prefix, self._id_count >> 8)
        self._id_count += 1
        return self._id_start + HEXADECIMAL[low]

    def _health(self, route: Route, cluster: WeightedCluster, endpoint: Endpoint) -> EndpointHealth:
        # Behind one gateway one service can be down and another up, so they are told apart; a pod is one
        # thing.
        key = (route.service if cluster.remote else "", endpoint)
        health = self.health.get(key)
        if health is None:
            pool = self.pools.get(endpoint)
            if pool is None:
                pool = self.pools[endpoint] = Pool(self, endpoint)
            pool.users += 1
            health = self.health[key] = EndpointHealth(endpoint, pool)
        health.users += 1
        return health

    def _tick(self) -> None:
        self._tick_handle = self.loop.call_later(TICK_SECONDS, self._tick)
        now = self.now = self.loop.time()
        for client in [client for client in self.clients if client.deadline <= now]:
            client.expired()
        before = now - self.limits.upstream_idle_seconds
        for pool in self.pools.values():
            pool.expire(before)
        if self.log is not None:
            self.log.flush()
        self._ticks += 1
        idle = self._forgetting is None or self._forgetting.done()
        if idle and not self._ticks % FORGET_TICKS and self._forgot != self.generation:
            self._forgetting = self.loop.create_task(self.forget(), name="forget")

    async def forget(self) -> None:
        """Drop states of routes that are no longer in the snapshot, and what only they used."""
        generation, done = self.generation, True
        for number, route in enumerate(list(self._states)):
            if not number % FORGET_AT_ONCE:
                await asyncio.sleep(0)
            if not self.snapshot.holds(route):
                self._drop(self._states.pop(route))
        for number, pool in enumerate(list(self.pools.values())):
            if not number % FORGET_AT_ONCE:
                await asyncio.sleep(0)
            if not pool.users:
                if pool.total:
                    done = False  # in use to the end, or idle for a while
                else:
                    del self.pools[pool.endpoint]
        if done:
            self._forgot = generation

    def _drop(self, state: RouteState) -> None:
        self.metrics.retire(state)
        for cluster in state.clusters:
            for health in cluster.endpoints:
                health.users -= 1
                if not health.users:
                    self.metrics.ejections += health.ejections
                    del self.health[state.route.service if cluster.remote else "", health.endpoint]
                    health.pool.users -= 1

    def gauges(self) -> dict[str, int]:
        """How things are with connections and endpoints now."""
        connections = idle = queued = ejections = ejected = 0
        for pool in self.pools.values():
            connections += pool.total
            idle += len(pool.idle)
            queued += len(pool.waiting)
        for health in self.health.values():
            ejections += health.ejections
            ejected += health.ejected(self.now)
        return {
            "gateway_upstream_connections": connections,
            "gateway_upstream_idle": idle,
            "gateway_upstream_queue": queued,
            "gateway_ejections_total": self.metrics.ejections + ejections,
            "gateway_endpoints_ejected": ejected,
        }

    def ejected(self) -> list[str]:
        """Endpoints that are left out now."""
        return sorted({str(health.endpoint) for health in self.health.values() if health.ejected(self.now)})

    def states(self) -> list[RouteState]:
        """States of every route used so far, for metrics and `/config`."""
        return list(self._states.values())
