"""A request's head and where it leads, with what is made of both."""

from __future__ import annotations

from typing import Final

from gateway.core.affinity import COOKIE, Affinity, read_affinity
from gateway.core.answers import NOT_FOUND_TEXT
from gateway.core.balance import ClusterState, RouteState
from gateway.core.forward import check_loop, request_start, served_mark
from gateway.core.request import RequestHead
from gateway.core.route import Route
from gateway.core.timeouts import NO_TIMEOUTS, Timeouts

COPIES: Final = 2
"""A head with what was read from it takes so many times its length."""

USUAL_HEAD_BYTES: Final = 1024
"""What an exchange counts for anyway (`meter.EXCHANGE_BYTES`) has room for a head of this length."""

SESSION: Final = COOKIE.encode()
WHOLE: Final = NO_TIMEOUTS

NO_ROUTE: Final = (404, NOT_FOUND_TEXT, "no-route")
UNKNOWN_IDENTITY: Final = (
    421, "no service here has this identity: gateways share one key", "unknown-identity",
)  # fmt: skip
"""For a request that says which service it is for, and is not known: it is never routed by anything else."""


class RoutedHead:
    """A request head and where it leads by the snapshot in force, whoever sends it."""

    __slots__ = (
        "affine", "attempt_seconds", "caller", "first_byte_seconds", "head", "loose", "nowhere",
        "route", "state", "sticky", "target", "total_seconds",
    )  # fmt: skip

    def __init__(
        self,
        head: RequestHead,
        route: Route | None,
        state: RouteState | None,
        total_seconds: float,
        first_byte_seconds: float,
    ) -> None:
        """`total_seconds`, `first_byte_seconds`: the gateway's own bounds."""
        self.head = head
        self.route = route
        self.state = state
        self.nowhere = NO_ROUTE
        """The answer without a route: status, text and reason."""
        self.affine = state is not None and (
            state.hashing or (bool(head.cookie) and head.cookie.find(SESSION) >= 0)
        )
        """Something in it may tie it to an endpoint."""
        self.sticky = state is not None and state.sticky
        self.loose = 0
        """Bytes it takes beyond a usual one: who uses it has to answer for them."""
        self.caller = b""
        """The cluster whose gateway asks for a service by its name, as its certificate proves."""
        self.target = head.target
        """What the cluster it was last aimed at is asked for."""
        self.total_seconds = total_seconds
        self.first_byte_seconds = first_byte_seconds
        self.attempt_seconds = 0.0
        """For one attempt, with its answer; 0 for no bound of its own."""
        if route is not None:
            timeouts = route.timeouts
            if timeouts is not WHOLE:
                self._bound(timeouts)

    def _bound(self, timeouts: Timeouts) -> None:
        """Let the service's own timeouts hold, in place of the gateway's bound for a first byte."""
        if timeouts.request_seconds:
            self.total_seconds = min(self.total_seconds, timeouts.request_seconds)
        self.attempt_seconds = timeouts.backend_seconds
        self.first_byte_seconds = float("inf")

    def aim(self, cluster: ClusterState) -> None:
        """Make the target this cluster is asked for. ProtocolError when there is none that can be sent."""
        head = self.head
        if not cluster.remote and self.route is not None:
            if not cluster.mark:
                cluster.mark = served_mark(cluster.cluster.key, self.route.service)
            if head.served:
                check_loop(head, cluster.mark)
        if not cluster.plain:
            self.target = cluster.cluster.target(head.target)
            more = len(self.target) - USUAL_HEAD_BYTES
            if more > 0:
                self.loose += more
        else:
            self.target = head.target

    def written(self, cluster: ClusterState, forwarded: bytes, request_id: bytes) -> bytes:
        """The head as the cluster it was aimed at is sent it.

        `forwarded`: what tells where it came from. `request_id`: one of ours, when the client gave none.
        """
        head = self.head
        behind = (forwarded, b"\r\n\r\n")
        if request_id:
            behind = (forwarded + b"\r\nX-Request-Id: " + request_id, b"\r\n\r\n")
        return request_start(
            head, self.target, b"" if head.host or self.route is None else self.route.host,
            to_gateway=cluster.remote, identity=cluster.identity, sidecar=cluster.sidecar,
            mark=b"" if cluster.remote else cluster.mark, caller=b"" if cluster.remote else self.caller,
            behind=behind,
        )  # fmt: skip

    def affinity(self, peer: bytes, secret: bytes, *, trusted: bool) -> Affinity | None:
        """What ties it to an endpoint, sent by this peer."""
        route = self.route
        if route is None:
            return None
        return read_affinity(route.service, route.balancing, self.head, peer, trusted=trusted, secret=secret)
