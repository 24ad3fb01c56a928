"""Health checks: asks other clusters' gateways, per service, whether they would serve it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from gateway.core.balance import RouteState
from gateway.core.health import EndpointHealth
from gateway.core.health_check import (
    ANSWER_SECONDS,
    FAILING_SECONDS,
    HEALTHY_SECONDS,
    RECENT_SECONDS,
    health_check_request,
    read_health_check,
)
from gateway.core.route import Route, WeightedCluster
from gateway.edge.kept import KeptConnections
from gateway.edge.registry import Registry, pool_of

MAX_CHECKS = 64
"""Health checks at once. With more due, the rest wait for the next round."""

MAX_ANSWER_BYTES = 16 * 1024
ROUND_SECONDS = 0.5

STATES_AT_ONCE = 200
"""Routes looked at before requests have their turn again: a quarter of a millisecond of them."""

log = logging.getLogger(__name__)


class HealthChecker:
    """One task that starts due health checks; each is a task of its own, bounded in number and time."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._runtime = registry.runtime
        self._next = 0
        """Where the next round begins among the registry's states."""
        self._kept = KeptConnections(self._runtime)
        self._checks: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = self._runtime.loop.create_task(self._run(), name="health checks")

    async def stop(self) -> None:
        tasks = [*self._checks, *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._kept.close()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            await self.round()

    async def round(self) -> None:
        """Start what is due, from where the last round had to stop: none waits behind those before it."""
        self._kept.tick()
        states = self._registry.states()
        for number in range(len(states)):
            if not number % STATES_AT_ONCE:
                await asyncio.sleep(0)
            state = states[(self._next + number) % len(states)]
            if not state.asks:
                continue
            for health, cluster in self._due(state):
                if len(self._checks) >= MAX_CHECKS:
                    self._next = (self._next + number) % len(states)
                    return
                health.asked = self._runtime.now
                check = self._check(health, state.route, cluster)
                task = self._runtime.loop.create_task(check, name="health check")
                self._checks.add(task)
                task.add_done_callback(self._checks.discard)

    def _due(self, state: RouteState) -> Iterator[tuple[EndpointHealth, WeightedCluster]]:
        """Remote endpoints of a route that should be asked now, with what they are to be asked for."""
        now = self._runtime.now
        recent = state.used > now - RECENT_SECONDS
        for cluster in state.clusters:
            if not cluster.remote or not cluster.weight:
                continue
            for health in cluster.endpoints:
                ill = health.ejected(now) or health.failures or health.misses
                patience = FAILING_SECONDS if ill else HEALTHY_SECONDS
                if (recent or ill) and now - health.asked >= patience:
                    yield health, cluster.cluster

    async def _check(self, health: EndpointHealth, route: Route, cluster: WeightedCluster) -> None:
        answer = b""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if health.endpoint.peer:
                    answer = await self._kept.ask(health, health_check_request(route, cluster, keep=True))
                else:
                    answer = await _ask(health, health_check_request(route, cluster))
        except (OSError, TimeoutError):
            pass  # no answer is an answer
        found = read_health_check(answer, self._runtime.limits, marks=health.marks)
        was = health.down
        health.checked(self._runtime.now, ok=found.ok, marks=found.marks)
        if health.down and not was and not answer:  # silent, not merely refusing what is new
            pool_of(health).give_up(health)
        if health.down != was:
            now = "left out: its health check failed" if health.down else "back: its health check succeeded"
            log.info("%s of %s at %s is %s", route.service, cluster.key, health.endpoint, now)


async def _ask(health: EndpointHealth, request: bytes) -> bytes:
    """On a connection of its own. OSError when there is none."""
    reader, writer = await asyncio.open_connection(health.endpoint.host, health.endpoint.port)
    try:
        writer.write(request)
        return await reader.read(MAX_ANSWER_BYTES)
    finally:
        writer.close()
