"""The endpoints one request is sent to, one after the other."""

from __future__ import annotations

from time import monotonic
from typing import Final

from gateway.core.affinity import Affinity
from gateway.core.answers import NOT_FOUND_TEXT, UNANSWERED
from gateway.core.balance import ClusterState, Pick
from gateway.core.health import EndpointHealth
from gateway.edge.metrics import observe
from gateway.edge.routed import RoutedHead

NOBODY: Final[list[EndpointHealth]] = []
"""Tried before a first attempt: shared by all requests, never changed."""

LAST_SECONDS = 2.0
"""How long an answer of the last endpoint there is is still waited for once it counts as dead: it may only be
slow, as everybody is while a machine stalls."""


class Attempts:
    """Chooses endpoints as the route's state says, none twice, and counts what is under way at each.

    `state` is None for a request without a route: there is nowhere to go.
    """

    __slots__ = (
        "affinity", "count", "deadline", "first", "latest", "limit", "nowhere", "pick", "same", "seconds",
        "seen", "state", "tried",
    )  # fmt: skip

    pick: Pick
    """The last choice; set from the first one on."""
    first: ClusterState
    """The cluster of the first one, set likewise."""

    def __init__(self, routed: RoutedHead, limit: int, latest: float) -> None:
        """`limit`: of endpoints. `latest`: when all must be over."""
        self.state = routed.state
        self.nowhere = routed.nowhere
        self.limit = limit
        self.affinity: Affinity | None = None
        self.tried = NOBODY
        """Endpoints that are not chosen again, without the last choice."""
        self.count = 0
        self.same = False
        """The last choice may be chosen again: the attempt said nothing about it."""
        self.seen: tuple[int, str] | None = None
        """Status and text of an attempt that an application may have seen, if one has failed so."""
        self.seconds = routed.attempt_seconds
        self.latest = self.deadline = latest
        """The first for all attempts, the second for the one under way, each with its answer."""

    def next(self, now: float) -> Pick | None:
        """Begin an attempt at the next endpoint; None when there is none or enough have been tried."""
        if self.state is None or self.count >= self.limit:
            return None
        if self.count and not self.same:
            self.tried = [*self.tried, self.pick.health]
        self.same = False
        pick = self.state.pick(now, self.tried, self.affinity)
        if pick is not None:
            if self.count:
                self.pick.state.retries += 1
            else:
                self.first = pick.state
            self.pick = pick
            self.count += 1
            pick.health.active += 1
            if self.seconds:
                self.deadline = min(self.latest, monotonic() + self.seconds)
        return pick

    def too_late(self, now: float, *, sending: bool) -> None:
        """The time of all attempts is over without an answer.

        The pod may be at fault, unless the client is still `sending`. Another cluster's gateway is not: its
        own time is over likewise.
        """
        if not sending and not self.pick.state.remote:
            self.pick.health.failed(now)

    def end(self) -> None:
        """The request is no longer on its way to, or at, the endpoint chosen last."""
        if self.count:
            self.pick.health.active -= 1

    def finished(self, status: int, seconds: float, *, answered: bool) -> None:
        """Count the request for the cluster chosen last. `answered`: from there, not by this gateway."""
        cluster = self.pick.state
        observe(cluster, status, seconds)
        if answered and (cluster.elsewhere or self.moved):
            cluster.failovers += 1

    @property
    def moved(self) -> bool:
        """The last choice is of another cluster than the first."""
        return self.count > 1 and self.pick.state.cluster.key != self.first.cluster.key

    def may_repeat(self) -> bool:
        """Whether another attempt is allowed; takes it from the route's retry budget."""
        return self.state is not None and self.count < self.limit and self.state.may_retry()

    def has_another(self, now: float) -> bool:
        """Whether there is an endpoint that was not tried yet."""
        if self.state is None or self.count >= self.limit:
            return False
        return self.state.available(now, [*self.tried, self.pick.health])

    def may_go_elsewhere(self, now: float) -> bool:
        """Whether another attempt is allowed, and there is an endpoint for it."""
        return self.has_another(now) and self.may_repeat()

    def may_leave(self, status: int, now: float) -> bool:
        """Whether to go on from another gateway, which has no answer of an application and says `status`.

        Once: what applications die of would else go through all of them. That gateway has counted it against
        the pod, and is itself not at fault.
        """
        if self.seen is not None:
            return False
        self.seen = status, "the service gave no answer"
        return self.may_go_elsewhere(now)

    def refusal(self, *, full: bool, by_path: bool) -> tuple[int, str, str]:
        """Status, text and reason of the answer when there is no other endpoint to try.

        Without `seen` no application knows of the request, and a gateway in front may send it elsewhere.

        `full`: connections to the last one are all busy. `by_path`: the request was routed by its path.
        """
        if self.state is None:
            return self.nowhere
        if self.seen is not None:
            return *self.seen, UNANSWERED
        if full:
            return 503, "all connections to the service are busy", "overload"
        if self.count:
            return 502, "no endpoint of the service could be reached", "unreachable"
        if by_path:
            # As the article's mesh answers: a path whose Service has no ready endpoint is not there.
            return 404, NOT_FOUND_TEXT, "no-endpoints"
        route = self.state.route
        text = f"{route.where} has no ready endpoint that its policy ({route.policy}) allows"
        return 503, text, "no-endpoints"
