"""What everything in one gateway process shares, whatever is routed where: loop, limits, time, counters."""

from __future__ import annotations

import asyncio
import os
from typing import Final

from gateway.core.budget import DEFAULT_BUDGET, Budget
from gateway.core.limits import Limits
from gateway.core.meter import Meter
from gateway.core.trust import NOBODY, TrustedProxies
from gateway.edge.accesslog import AccessLog
from gateway.edge.contexts import PeerTls
from gateway.edge.metrics import Metrics
from gateway.edge.tracer import Tracer

HEXADECIMAL: Final = tuple(b"%02x" % number for number in range(256))


class Runtime:
    """One per process. Hot fields are plain attributes: they are read for every request."""

    def __init__(  # noqa: PLR0917  what all of them share
        self,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        log: AccessLog | None,
        trusted: TrustedProxies = NOBODY,
        budget: Budget = DEFAULT_BUDGET,
        tracer: Tracer | None = None,
    ) -> None:
        self.loop = loop
        self.peer_tls = PeerTls(budget.traffic)
        self.trusted = trusted
        self.limits = limits
        self.attempts = limits.attempts
        self.replay_bytes = limits.replay_bytes
        self.stall_seconds = limits.stall_seconds
        self.first_byte_seconds = limits.first_byte_seconds
        self.total_seconds = limits.total_seconds
        self.idle_seconds = limits.idle_seconds
        self.upstream_idle = limits.upstream_idle
        self.session_secret = b""
        """What session tags are made with, by the snapshot in force."""
        self.log = log
        self.tracer = tracer
        self.metrics = Metrics()
        self.meter = Meter(budget.traffic)
        self.draining = False
        """Answers ask their clients to reconnect."""
        self.stopping = False
        """No connection is kept any more."""
        self.now = loop.time()
        """Time of the last tick; for deadlines, where a quarter of a second does not matter."""
        self._id_prefix = os.urandom(8).hex().encode()
        self._id_start = b""
        self._id_count = 0

    def request_id(self) -> bytes:
        """A new request id: 24 hexadecimal digits, of which the first 16 are this process's."""
        low = self._id_count & 255
        if not low:
            self._id_start = b"%b%06x" % (self._id_prefix, self._id_count >> 8)
        self._id_count += 1
        return self._id_start + HEXADECIMAL[low]
