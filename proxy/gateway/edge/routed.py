"""A request's head and where it leads, with what is made of both."""

from __future__ import annotations

from gateway.core.affinity import HASHING, Affinity, read_affinity
from gateway.core.answers import NOT_FOUND_TEXT
from gateway.core.balance import ClusterState, RouteState
from gateway.core.forward import check_loop, request_start, served_mark
from gateway.core.limits import Limits
from gateway.core.request import RequestHead
from gateway.core.route import Route
from gateway.core.timeouts import NO_TIMEOUTS, Timeouts
from gateway.edge.accesslog import AccessLog, request_fields

COPIES = 3
"""A head with what was read from it takes so many times its length."""

USUAL_HEAD_BYTES = 1024
"""What an exchange counts for anyway (`meter.EXCHANGE_BYTES`) has room for a head of this length."""


NO_ROUTE = (404, NOT_FOUND_TEXT, "no-route")
UNKNOWN_IDENTITY = (421, "no service here has this identity: gateways share one key", "unknown-identity")
"""For a request that says which service it is for, and is not known: it is never routed by anything else."""


class RoutedHead:
    """A request head and where it leads by the snapshot in force, whoever sends it."""

    __slots__ = (
        "affine", "attempt_seconds", "caller", "first_byte_seconds", "head", "logged", "loose", "nowhere",
        "route", "started", "started_for", "state", "sticky", "total_seconds",
    )  # fmt: skip

    def __init__(
        self, head: RequestHead, route: Route | None, state: RouteState | None, limits: Limits
    ) -> None:
        self.head = head
        self.route = route
        self.state = state
        self.nowhere = NO_ROUTE
        """The answer without a route: status, text and reason."""
        self.affine = route is not None and (bool(head.cookie) or route.balancing.kind == HASHING)
        """Something in it may tie it to an endpoint."""
        self.sticky = route is not None and route.balancing.sticky
        self.loose = 0
        """Bytes it takes beyond a usual one: who uses it has to answer for them."""
        self.logged = ""
        """The access log's fields for it, once it has been logged."""
        self.caller = b""
        """The cluster whose gateway asks for a service by its name, as its certificate proves."""
        self.started_for: ClusterState | None = None
        self.started = b""
        """How it starts for the cluster it was last made for."""
        self.total_seconds = limits.total_seconds
        self.first_byte_seconds = limits.first_byte_seconds
        self.attempt_seconds = 0.0
        """For one attempt, with its answer; 0 for no bound of its own."""
        if route is not None and route.timeouts is not NO_TIMEOUTS:
            self._bound(route.timeouts)

    def _bound(self, timeouts: Timeouts) -> None:
        """Let the service's own timeouts hold, in place of the gateway's bound for a first byte."""
        if timeouts.request_seconds:
            self.total_seconds = min(self.total_seconds, timeouts.request_seconds)
        self.attempt_seconds = timeouts.backend_seconds
        self.first_byte_seconds = float("inf")

    def start(self, cluster: ClusterState) -> bytes:
        """The head as that cluster is sent it, up to what tells about the sender.

        ProtocolError when it cannot be sent there.
        """
        if self.started_for is not cluster:
            to = cluster.cluster
            service, mark = b"", b""
            if self.route is not None:
                service = b"" if self.head.host else self.route.host
                mark = b"" if to.remote else self._mark(cluster, self.route)
                check_loop(self.head, mark)
            self.started = request_start(
                self.head, to.target(self.head.target), service, to_gateway=to.remote, identity=to.identity,
                sidecar=to.sidecar, mark=mark, caller=b"" if to.remote else self.caller,
            )  # fmt: skip
            self.started_for = cluster
            self._grew(len(self.started) - len(self.head.fields))
        return self.started

    @staticmethod
    def _mark(cluster: ClusterState, route: Route) -> bytes:
        if not cluster.mark:
            cluster.mark = served_mark(cluster.cluster.key, route.service)
        return cluster.mark

    def affinity(self, peer: bytes, secret: bytes, *, trusted: bool) -> Affinity | None:
        """What ties it to an endpoint, sent by this peer."""
        route = self.route
        if route is None:
            return None
        return read_affinity(route.service, route.balancing, self.head, peer, trusted=trusted, secret=secret)

    def log_fields(self, log: AccessLog) -> str:
        """The access log's fields for it."""
        if not self.logged:
            self.logged = request_fields(self.head, self.route, query=log.query)
        return self.logged

    def _grew(self, more: int) -> None:
        """It takes so many bytes more, if that is more than usual."""
        if more > USUAL_HEAD_BYTES:
            self.loose += more
