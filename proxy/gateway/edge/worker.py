"""What all connections of one process share: the snapshot in force, its moving parts, limits, clock,
counters."""

from __future__ import annotations

import asyncio
import os
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from gateway.core.balance import RouteState
from gateway.core.health import EndpointHealth
from gateway.core.limits import Limits
from gateway.core.request import RequestHead
from gateway.core.response import ResponseHead
from gateway.core.route import Endpoint, Route, Share
from gateway.core.snapshot import Snapshot
from gateway.core.trust import NOBODY, TrustedProxies
from gateway.edge.accesslog import AccessLog
from gateway.edge.metrics import Metrics
from gateway.edge.pool import Pool

if TYPE_CHECKING:
    from gateway.edge.client import Client

T = TypeVar("T")

TICK_SECONDS = 0.25
"""How often deadlines are looked at: the precision of every time limit."""

POOL_FORGET_TICKS = 240
"""Ticks (a minute) after which pools and health of endpoints no route names any more are forgotten."""


MEMO_ENTRIES = 1024
MEMO_HEAD_BYTES = 2048
"""Heads remembered with what was read from them, per listener: programs send the same head over and over.
Longer heads are not worth keeping; all together at most a few MiB. When full the memo starts again."""

RequestEntry = tuple[RequestHead, Route | None, RouteState | None]


class Listener(Enum):
    """How requests of a listener are routed."""

    NORTH_SOUTH = "north-south"
    EAST_WEST = "east-west"


class Memo(dict[bytes, T]):
    """What a head was read as, by its bytes: reading is a pure function, so the same bytes read the same."""

    __slots__ = ()

    def keep(self, head: bytes, entry: T) -> None:
        if len(head) <= MEMO_HEAD_BYTES:
            if len(self) >= MEMO_ENTRIES:
                self.clear()
            self[head] = entry


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
        self.request_memos: dict[Listener, Memo[RequestEntry]] = {listener: Memo() for listener in Listener}
        self.response_memo: Memo[ResponseHead] = Memo()
        self._states: dict[Route, RouteState] = {}
        self._by_id: dict[int, RouteState] = {}
        self._id_prefix = os.urandom(8).hex().encode()
        self._id_count = 0
        self.idle_event = asyncio.Event()
        """Set whenever the last client connection closes."""
        self._tick_handle: asyncio.TimerHandle | None = None
        self._ticks = 0

    def start(self) -> None:
        self._tick_handle = self.loop.call_later(TICK_SECONDS, self._tick)

    def stop(self) -> None:
        if self._tick_handle is not None:
            self._tick_handle.cancel()
        for pool in self.pools.values():
            pool.close()

    def swap(self, snapshot: Snapshot) -> None:
        """Exchanges under way keep the state they hold; equal routes keep theirs."""
        self.snapshot = snapshot
        self.generation += 1
        self._by_id = {}
        for memo in self.request_memos.values():
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
        self._id_count += 1
        return b"%b%08x" % (self._id_prefix, self._id_count)

    def _health(self, route: Route, share: Share, endpoint: Endpoint) -> EndpointHealth:
        # Behind one gateway one service can be down and another up, so they are told apart; a pod is one
        # thing.
        key = (route.service if share.remote else "", endpoint)
        health = self.health.get(key)
        if health is None:
            pool = self.pools.get(endpoint)
            if pool is None:
                pool = self.pools[endpoint] = Pool(self, endpoint)
            health = self.health[key] = EndpointHealth(endpoint, pool)
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
        if self._ticks % POOL_FORGET_TICKS == 0:
            self._forget()

    def _forget(self) -> None:
        """Drop states of routes that are no longer in the snapshot, and what only they used."""
        current = {*self.snapshot.paths.exact.values(), *self.snapshot.paths.prefix.values()}
        current.update(self.snapshot.hosts.hosts.values())
        for route in [route for route in self._states if route not in current]:
            self.metrics.retire(self._states.pop(route))
        used = {
            health.endpoint
            for state in self._states.values()
            for share in state.shares
            for health in share.endpoints
        }
        for key in [key for key in self.health if key[1] not in used]:
            del self.health[key]
        for endpoint in [
            endpoint for endpoint, pool in self.pools.items() if endpoint not in used and not pool.total
        ]:
            del self.pools[endpoint]

    def states(self) -> list[RouteState]:
        """States of every route used so far, for metrics and `/config`."""
        return list(self._states.values())
