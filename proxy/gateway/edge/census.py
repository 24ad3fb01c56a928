"""Counts what the connections of this process hold, and brings it back within the traffic's share."""

from __future__ import annotations

import logging

from gateway.core.meter import CONNECTION_BYTES, TLS_BYTES, losers
from gateway.edge.downstream import Downstreams
from gateway.edge.runtime import Runtime

log = logging.getLogger(__name__)


class Census:
    """One per process. It counts when the meter asks, and at ticks while memory is short."""

    def __init__(self, runtime: Runtime, downstreams: Downstreams) -> None:
        self._runtime = runtime
        self._meter = runtime.meter
        self._all = downstreams
        self._cut_before = 0
        self._releasing = False
        # Through the loop: what is written in a turn of it leaves at its end, and only what stays is held.
        self._meter.on_due = self._soon
        self._meter.on_hold = self._hold

    def _soon(self) -> None:
        self._runtime.loop.call_soon(self.count)

    def _hold(self) -> None:
        for one in self._all.open:
            one.hold_still()
            self._meter.waiting.append(one.go_on)

    def tick(self) -> None:
        if self._meter.full:
            self.count()

    def count(self) -> None:
        meter = self._meter
        heads = bodies = 0
        for one in self._all.open:
            heads += one.head_bytes()
            bodies += one.body_bytes()
        connections = (len(self._all.open) + meter.upstreams) * CONNECTION_BYTES
        connections += self._runtime.peer_tls.open * TLS_BYTES
        turned = meter.counted(heads, bodies, connections)
        if turned:
            self._turn()
        excess = meter.excess()
        meter.over = excess > 0 and not self._cut(excess)
        if meter.holding and not self._releasing:
            self._release()

    def _release(self) -> None:
        """Let some read on, and in the next turn of the loop some more."""
        for go_on in self._meter.released():
            go_on()
        self._releasing = self._meter.holding and not self._meter.due
        if self._releasing:
            self._runtime.loop.call_soon(self._release)

    def _turn(self) -> None:
        """Memory has become short, or is so no more."""
        meter, runtime = self._meter, self._runtime
        runtime.replay_bytes = 0 if meter.full else runtime.limits.replay_bytes
        for one in self._all.open:
            one.set_bounds(meter.write_high, runtime.replay_bytes)
        if meter.full:
            log.warning(
                "memory is short, what is new is refused: %d of %d bytes are held", meter.held, meter.limit
            )
        else:
            log.warning(
                "memory is enough again; %d clients that held most were cut", meter.cut - self._cut_before
            )
        self._cut_before = meter.cut

    def _cut(self, excess: int) -> bool:
        """Cut those who hold most; whether that is enough."""
        found = list(self._all.open)
        # Behind a trusted proxy are many: each of its connections counts as a source of its own.
        holders = [
            (b"%b %d" % (one.peer, number) if one.trusted else one.peer, one.head_bytes() + one.body_bytes())
            for number, one in enumerate(found)
        ]
        lost = losers(holders, excess)
        for number in lost:
            found[number].cut()
        self._meter.cut += len(lost)
        return sum(holders[number][1] for number in lost) >= excess
