"""Whether an endpoint is worth a try, judged by what happened to requests sent there.

Passive ejection: after `FAILURES` failures in a row an endpoint is left out for a time that doubles with every
further ejection; one success clears it. Nobody is left out when there is nobody else (see `RouteState.pick`).
"""

from __future__ import annotations

from typing import Any

from gateway.core.route import Endpoint

FAILURES = 3
"""Failures in a row before ejection: one or two can be a restart's reset connections."""

EJECT_SECONDS = 2.0
MAX_EJECT_SECONDS = 30.0


class EndpointHealth:
    """What is known of one endpoint. For a remote gateway there is one per service behind it."""

    __slots__ = ("ejected_until", "ejections", "endpoint", "failures", "pool", "spell")

    def __init__(self, endpoint: Endpoint, pool: Any = None) -> None:
        self.endpoint = endpoint
        self.pool = pool
        """The edge's connections to it; the core never looks inside."""
        self.failures = 0
        self.ejected_until = 0.0
        self.spell = EJECT_SECONDS
        self.ejections = 0

    def succeeded(self) -> None:
        if self.failures:
            self.failures = 0
            self.ejected_until = 0.0
            self.spell = EJECT_SECONDS

    def failed(self, now: float, *, certain: bool = False) -> bool:
        """Count a failure; True when it ejects. `certain`: refused or unreachable, no second opinion needed."""
        self.failures += 1
        if (self.failures < FAILURES and not certain) or self.ejected_until > now:
            return False
        self.ejected_until = now + self.spell
        self.spell = min(self.spell * 2, MAX_EJECT_SECONDS)
        self.ejections += 1
        return True
