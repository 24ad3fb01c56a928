"""The routing snapshot in force and its moving parts: route states, endpoint health, pools."""

from __future__ import annotations

import asyncio
from enum import Enum
from itertools import islice
from typing import Final, cast

from gateway.core.balance import RouteState
from gateway.core.errors import ProtocolError
from gateway.core.forward import MAX_HOPS
from gateway.core.health import EndpointHealth
from gateway.core.identity import BY_NAME
from gateway.core.peers import Caller
from gateway.core.request import RequestHead, read_request_head
from gateway.core.route import Endpoint, Route, WeightedCluster
from gateway.core.snapshot import Snapshot
from gateway.edge.garbage import STATES_AT_ONCE, let_go, settle
from gateway.edge.metrics import by_service
from gateway.edge.routed import COPIES, NO_ROUTE, UNKNOWN_IDENTITY, USUAL_HEAD_BYTES, RoutedHead
from gateway.edge.runtime import Runtime
from gateway.edge.upstream import Pool

EXPIRE_TICKS: Final = 8
"""Ticks (two seconds) in which all pools are looked at, a part in each: thousands take milliseconds."""

FORGET_TICKS: Final = 240
"""Ticks (a minute) after which routes no snapshot names any more are forgotten, with their endpoints."""

FORGET_AT_ONCE: Final = 20
"""Routes or pools looked at before requests have their turn again."""


ASKED_BY_NAME: Final = b";" + BY_NAME.encode()
"""What the identity of a service ends with that somebody in the caller's cluster asked for. By path anybody
may have, at the caller's front door."""


class Listener(Enum):
    """How requests of a listener are routed. Service ports are east-west, each for one Service."""

    NORTH_SOUTH = "north-south"
    EAST_WEST = "east-west"
    PEERS = "peers"
    """From gateways of other clusters, over mutual TLS."""


class UpstreamHealth(EndpointHealth):
    """Health of an endpoint, with the connections to it."""

    __slots__ = ("cluster", "pool")

    def __init__(self, endpoint: Endpoint, cluster: str, pool: Pool) -> None:
        """`cluster`: the key of the one that it is in, for the metrics."""
        super().__init__(endpoint)
        self.cluster = cluster
        self.pool = pool


def pool_of(health: EndpointHealth) -> Pool:
    """The connections to an endpoint that a registry's route state has chosen."""
    return cast("UpstreamHealth", health).pool


class Registry:
    """One per process."""

    def __init__(self, runtime: Runtime, snapshot: Snapshot) -> None:
        self.runtime = runtime
        self.generation = 0
        self.pools: dict[tuple[str, Endpoint], Pool] = {}
        """By service and pod, so that no service ever reads what was left on another's connection; one for
        all services by gateway of another cluster."""
        self.health: dict[tuple[str, Endpoint], UpstreamHealth] = {}
        self._states: dict[Route, RouteState] = {}
        self._take(snapshot)
        self._ticks = 0
        self._expiring: list[Pool] = []
        """Pools with more to close than in one tick."""
        self._forgot = 0
        """Generation of the snapshot beside which nothing is left to forget."""
        self._forgetting: asyncio.Task[None] | None = None

    def stop(self) -> None:
        if self._forgetting is not None:
            self._forgetting.cancel()
        for pool in self.pools.values():
            pool.close()

    def swap(self, snapshot: Snapshot) -> None:
        """Exchanges under way keep the state they hold; equal routes keep theirs."""
        self.generation += 1
        held = [self.snapshot]
        self._take(snapshot)
        self.runtime.loop.run_in_executor(None, let_go, held)

    def _take(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.runtime.session_secret = snapshot.session_secret
        self.runtime.peer_tls.take(table=snapshot.table)
        self._paths = snapshot.paths
        self._one_table = not snapshot.published
        """North-south, no Host leads elsewhere than others."""
        self._by_id: dict[int, RouteState] = {}

    def read_head(
        self, data: bytes, service_port: int, *, by_path: bool, caller: Caller | None = None
    ) -> RoutedHead | None:
        """Read and route the head that `data` begins with; None when more bytes are needed.

        ProtocolError: refuse it. `caller`: the gateway that asks, over mutual TLS.
        """
        limits = self.runtime.limits
        head = read_request_head(data, limits)
        if head is None:
            return None
        if head.length and limits.body_bytes is not None and head.length > limits.body_bytes:
            raise ProtocolError(f"body longer than {limits.body_bytes} bytes", 413)
        if head.hops >= MAX_HOPS:
            raise ProtocolError(f"request has passed {head.hops} gateways: routes form a loop", 508)
        routed = self._routed(head, service_port, by_path=by_path, caller=caller)
        more = len(head.raw) - USUAL_HEAD_BYTES
        if more > 0:
            routed.loose = COPIES * more
            self.runtime.meter.came += routed.loose
        return routed

    def _routed(
        self, head: RequestHead, service_port: int, *, by_path: bool, caller: Caller | None
    ) -> RoutedHead:
        snapshot = self.snapshot
        nowhere = NO_ROUTE
        if caller is not None:
            route, nowhere = snapshot.asked_by(caller, head.identity)
        elif head.identity is not None:  # only where gateways meet, and then by nothing else
            route = snapshot.identified(head.identity) if by_path else None
        elif by_path:
            table = self._paths if self._one_table else snapshot.paths_of(head.host)
            route = table.find(head.path)
        else:
            route = snapshot.ports.get(service_port) or snapshot.hosts.find(head.host)
        if route is not None and route.variants:
            route = route.of(head.by_name())
        state = None if route is None else self.state(route)
        runtime = self.runtime
        routed = RoutedHead(head, route, state, runtime.total_seconds, runtime.first_byte_seconds)
        if caller is not None:
            routed.nowhere = nowhere
            if route is not None and head.identity is not None and head.identity.endswith(ASKED_BY_NAME):
                routed.caller = caller.key.encode()
        elif route is None and head.identity is not None:
            routed.nowhere = UNKNOWN_IDENTITY
        elif route is None and not by_path and (text := snapshot.hosts.ambiguity(head.host)):
            routed.nowhere = (421, text, "ambiguous-host")
        return routed

    def state(self, route: Route) -> RouteState:
        """The moving part of a route of the snapshot in force; made when first asked for."""
        state = self._by_id.get(id(route))
        if state is None:
            state = self._states.get(route)
            if state is None:
                state = self._states[route] = RouteState(route, self._health)
                if not len(self._states) % STATES_AT_ONCE:
                    settle()
            self._by_id[id(route)] = state
        return state

    def _health(self, route: Route, cluster: WeightedCluster, endpoint: Endpoint) -> EndpointHealth:
        # Behind one gateway one service can be down and another up. A pod can be listed for two services, by
        # somebody who has a right to only one of them: what fails for him must not count for the other.
        key = (route.service, endpoint)
        health = self.health.get(key)
        if health is None:
            apart = ("" if cluster.remote else route.service, endpoint)
            pool = self.pools.get(apart)
            if pool is None:
                pool = self.pools[apart] = Pool(self.runtime, endpoint)
            pool.references += 1
            health = self.health[key] = UpstreamHealth(endpoint, cluster.key, pool)
        health.users += 1
        return health

    def tick(self) -> None:
        """Close what has been idle for too long; now and then forget what is gone."""
        before = self.runtime.now - self.runtime.limits.upstream_idle_seconds
        due = [*self._expiring, *islice(self.pools.values(), self._ticks % EXPIRE_TICKS, None, EXPIRE_TICKS)]
        self._expiring = [pool for pool in due if pool.expire(before)]
        self._ticks += 1
        idle = self._forgetting is None or self._forgetting.done()
        if idle and not self._ticks % FORGET_TICKS and self._forgot != self.generation:
            self._forgetting = self.runtime.loop.create_task(self.forget(), name="forget")

    async def forget(self) -> None:
        """Drop states of routes that are no longer in the snapshot, and what only they used."""
        generation, done = self.generation, True
        for number, route in enumerate(list(self._states)):
            if not number % FORGET_AT_ONCE:
                await asyncio.sleep(0)
            if not self.snapshot.holds(route):
                self._drop(self._states.pop(route))
        for number, (apart, pool) in enumerate(list(self.pools.items())):
            if not number % FORGET_AT_ONCE:
                await asyncio.sleep(0)
            if not pool.references:
                if pool.total:
                    done = False  # in use to the end, or idle for a while
                else:
                    del self.pools[apart]
        if done:
            self._forgot = generation

    def _drop(self, state: RouteState) -> None:
        metrics = self.runtime.metrics
        metrics.retire(state)
        for cluster in state.clusters:
            for health in cluster.endpoints:
                health.users -= 1
                if not health.users:
                    known = self.health.pop((state.route.service, health.endpoint))
                    metrics.retire_ejections(state.route.service, known.cluster, health.ejections)
                    pool_of(health).references -= 1

    def gauges(self) -> dict[str, int]:
        """How things are with connections and endpoints now."""
        connections = idle = queued = 0
        for pool in self.pools.values():
            connections += pool.total
            idle += len(pool.idle)
            queued += len(pool.waiting)
        ejections = self.runtime.metrics.gone_ejections()
        ejected = dict.fromkeys(ejections, 0)
        for (service, _), health in self.health.items():
            if health.ejections:
                labels = (service, health.cluster)
                ejections[labels] = ejections.get(labels, 0) + health.ejections
                ejected[labels] = ejected.get(labels, 0) + health.ejected(self.runtime.now)
        return {
            "gateway_upstream_connections": connections,
            "gateway_upstream_idle": idle,
            "gateway_upstream_queue": queued,
            **by_service("gateway_ejections_total", ejections),
            **by_service("gateway_endpoints_ejected", ejected),
            **self.runtime.peer_tls.gauges(),
        }

    def known_health(
        self,
        route: Route,
        cluster: WeightedCluster,  # noqa: ARG002  as whoever describes a route asks
        endpoint: Endpoint,
    ) -> EndpointHealth | None:
        """What is known of an endpoint of a route; None when it was never used."""
        return self.health.get((route.service, endpoint))

    def answered(self, route: Route) -> list[list[int]]:
        """How many requests the clusters of a route have answered; nothing when it was never used.

        It is asked from another thread: what is counted meanwhile may be in it or not.
        """
        state = self._states.get(route)
        if state is None:
            return []
        return [[sum(one.by_status().values()) for one in priority] for priority in state.priorities]

    def states(self) -> list[RouteState]:
        """States of every route used so far, for metrics and `/config`."""
        return list(self._states.values())
