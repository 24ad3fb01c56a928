"""Probes other clusters' gateways, per service, and tells their health."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from gateway.core.balance import RouteState
from gateway.core.health import EndpointHealth
from gateway.core.probe import (
    ANSWER_SECONDS,
    FAILING_SECONDS,
    HEALTHY_SECONDS,
    RECENT_SECONDS,
    probe_request,
    read_probe,
)
from gateway.core.route import Route, WeightedCluster
from gateway.edge.worker import Worker

MAX_PROBES = 64
"""Probes at once. With more due, the rest wait for the next round."""

MAX_ANSWER_BYTES = 16 * 1024
ROUND_SECONDS = 0.5

STATES_AT_ONCE = 200
"""Routes looked at before requests have their turn again: a quarter of a millisecond of them."""

log = logging.getLogger(__name__)


class Prober:
    """One task that starts due probes; each probe is a task of its own, bounded in number and time."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._next = 0
        """Where the next round begins among the worker's states."""
        self._probes: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = self._worker.loop.create_task(self._run(), name="prober")

    async def stop(self) -> None:
        tasks = [*self._probes, *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            await self._round()

    async def _round(self) -> None:
        """Start what is due, from where the last round had to stop: none waits behind those before it."""
        states = self._worker.states()
        for number in range(len(states)):
            if not number % STATES_AT_ONCE:
                await asyncio.sleep(0)
            state = states[(self._next + number) % len(states)]
            for health, cluster in self._due(state):
                if len(self._probes) >= MAX_PROBES:
                    self._next = (self._next + number) % len(states)
                    return
                health.asked = self._worker.now
                probe = self._probe(health, state.route, cluster)
                task = self._worker.loop.create_task(probe, name="probe")
                self._probes.add(task)
                task.add_done_callback(self._probes.discard)

    def _due(self, state: RouteState) -> Iterator[tuple[EndpointHealth, WeightedCluster]]:
        """Remote endpoints of a route that should be asked now, with what they are to be asked for."""
        now = self._worker.now
        recent = state.used > now - RECENT_SECONDS
        for cluster in state.clusters:
            if not cluster.remote or not cluster.weight:
                continue
            for health in cluster.endpoints:
                ill = health.ejected(now) or health.failures or health.misses
                patience = FAILING_SECONDS if ill else HEALTHY_SECONDS
                if (recent or ill) and now - health.asked >= patience:
                    yield health, cluster.cluster

    async def _probe(self, health: EndpointHealth, route: Route, cluster: WeightedCluster) -> None:
        answer = b""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = await asyncio.open_connection(health.endpoint.host, health.endpoint.port)
                try:
                    writer.write(probe_request(route, cluster))
                    answer = await reader.read(MAX_ANSWER_BYTES)
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            pass  # no answer is an answer
        found = read_probe(answer, self._worker.limits, marks=health.marks)
        was = health.down
        health.probed(self._worker.now, ok=found.ok, marks=found.marks)
        if health.down and not was and not answer:  # silent, not merely refusing what is new
            self._worker.give_up(health)
        if health.down != was:
            verdict = "is left out: its probe failed" if health.down else "is back: its probe was answered"
            log.info("%s of %s at %s %s", route.service, cluster.key, health.endpoint, verdict)
