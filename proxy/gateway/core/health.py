"""Health of an endpoint: whether it is worth a try, by what happened to requests and health checks there.

Passive: after `FAILURES` failures in a row, or one that proves it unreachable, an endpoint is left out for a
time that doubles with every further ejection. Active: a failed health check keeps another cluster's gateway
out until one succeeds. Whoever comes back gets a growing part of its requests (`slow_start`), never all at
once. Nobody is left out when there is nobody else (see `RouteState.pick`).
"""

from __future__ import annotations

from gateway.core.affinity import tag
from gateway.core.route import Endpoint

FAILURES = 3
"""Failures in a row before ejection: one or two can be a restart's reset connections."""

EJECT_SECONDS = 2.0
MAX_EJECT_SECONDS = 30.0

MISSES = 2
"""Health checks failed in a row before an endpoint that serves requests is left out: a packet can be lost."""

SLOW_START_SECONDS = 10.0
"""From return to all its requests: time for caches and pools to warm up, and for a second failure to show."""

SLOW_START_MINIMUM = 0.1


class EndpointHealth:
    """What is known of one endpoint. For a remote gateway there is one per service behind it."""

    __slots__ = (
        "active",
        "asked",
        "credit",
        "down",
        "ejected_until",
        "ejection_seconds",
        "ejections",
        "endpoint",
        "failures",
        "logged",
        "marks",
        "misses",
        "name",
        "returned",
        "tag",
        "users",
    )

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.name = str(endpoint)
        self.tag = tag(self.name)
        self.logged = ""
        """What the access log says of it, once it has."""
        self.active = 0
        """Requests under way."""
        self.asked = 0.0
        """When its health was last checked."""
        self.credit = 0.0
        """Saved up parts of turns while it is coming back."""
        self.users = 0
        """Clusters of routes that may send requests there."""
        self.failures = 0
        self.down = False
        """Health checks fail."""
        self.misses = 0
        """Health checks that failed in a row."""
        self.marks = False
        """A gateway that marks what applications answer has been seen there."""
        self.ejected_until = 0.0
        self.returned = 0.0
        """When it came back, or will; 0 when it was never away."""
        self.ejection_seconds = EJECT_SECONDS
        self.ejections = 0

    def ejected(self, now: float) -> bool:
        """Whether it is left out now."""
        return self.ejected_until > now or self.down

    def slow_start(self, now: float) -> float:
        """Part of its requests it gets, from `SLOW_START_MINIMUM` to 1."""
        if not self.returned:
            return 1.0
        part = self.part(now)
        if part >= 1.0:
            self.returned = 0.0
        return part

    def part(self, now: float) -> float:
        """The same, and nothing changes: for who only looks, from another thread too."""
        returned = self.returned
        if not returned:
            return 1.0
        grown = SLOW_START_MINIMUM + (1 - SLOW_START_MINIMUM) * (now - returned) / SLOW_START_SECONDS
        return min(1.0, max(grown, SLOW_START_MINIMUM))

    def fit(self, now: float) -> bool:
        """Whether a turn of its own is for it: always, or now and then while it is coming back."""
        return not self.returned or self.credit + self.slow_start(now) >= 1.0

    def succeeded(self) -> None:
        """A request was answered."""
        if self.failures:
            self.failures = 0
            self.ejection_seconds = EJECT_SECONDS

    def failed(self, now: float, *, certain: bool = False) -> bool:
        """Count a failure; True when it ejects. `certain`: unreachable, no second opinion needed."""
        self.failures += 1
        if (self.failures < FAILURES and not certain) or self.ejected_until > now:
            return False
        self.ejected_until = self.returned = now + self.ejection_seconds
        self.ejection_seconds = min(self.ejection_seconds * 2, MAX_EJECT_SECONDS)
        self.ejections += 1
        return True

    def checked(self, now: float, *, ok: bool, marks: bool = False) -> None:
        """A health check was answered, or not. One miss alone counts only against who is left out already."""
        self.marks = self.marks or marks
        if not ok:
            self.misses += 1
            if not self.down and (self.misses >= MISSES or self.ejected_until > now):
                self.down = True
                self.ejections += 1
            return
        self.misses = 0
        if self.down or self.ejected_until > now:
            self.down = False
            self.failures = 0
            self.ejected_until = 0.0
            self.returned = now
            self.ejection_seconds = EJECT_SECONDS
