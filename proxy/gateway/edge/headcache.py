"""Heads read before, with all that follows from their bytes alone.

Programs send the same head over and over. Reading one is a pure function of its bytes, so the same bytes read
the same; what a request costs is then mostly what its bytes cost to carry.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from gateway.core.affinity import HASHING, Affinity, read_affinity
from gateway.core.answers import NOT_FOUND_TEXT
from gateway.core.balance import ClusterState, RouteState
from gateway.core.forward import check_loop, request_start, served_mark
from gateway.core.limits import Limits
from gateway.core.request import RequestHead
from gateway.core.route import Route
from gateway.core.timeouts import NO_TIMEOUTS, Timeouts
from gateway.edge.accesslog import AccessLog, request_fields

T = TypeVar("T")

CACHE_BYTES = 16 * 1024 * 1024
"""Memory for the heads of one cache, if nothing else is said: some 13,000 usual ones, so that thousands of
routes fit. There is one per listener (service ports are part of the east-west one), and one of answers. A
full cache starts again empty."""

MAX_HEAD_BYTES = 2048
"""Longer heads are not worth keeping: they carry what changes with every request."""

COPIES = 3
"""A head with what was read from it takes so many times its length."""

ENTRY_BYTES = 1024
"""Counted for each entry on top of that."""


class HeadCache(Generic[T]):
    """What was read, by the bytes it was read from. Look-ups go to `entries` directly.

    `parts` are caches of their own within its size: a head leads elsewhere in each of them.
    """

    __slots__ = ("entries", "most", "parts", "size", "whole")

    def __init__(self, most: int = CACHE_BYTES, whole: HeadCache[T] | None = None) -> None:
        """`most`: bytes of memory."""
        self.most = most
        self.entries: dict[bytes, T] = {}
        self.whole = whole
        """The one it is a part of."""
        self.parts: dict[int, HeadCache[T]] = {}
        self.size = 0
        """With its parts."""

    def part(self, number: int) -> HeadCache[T]:
        """The part of that number, from now on if it is new."""
        found = self.parts.get(number)
        if found is None:
            found = self.parts[number] = HeadCache(self.most, self)
        return found

    def keep(self, head: bytes, entry: T) -> bool:
        """Keep it for the next head of the same bytes; False when it is too long for that."""
        if len(head) > MAX_HEAD_BYTES:
            return False
        self.grow(COPIES * len(head) + ENTRY_BYTES)
        self.entries[head] = entry
        return True

    def grow(self, more: int) -> None:
        """What is kept takes so many bytes more."""
        whole = self.whole or self
        whole.size += more
        if whole.size > self.most:
            whole.clear()
            whole.size = more

    def clear(self) -> None:
        self.entries.clear()
        for part in self.parts.values():
            part.entries.clear()
        self.size = 0


NO_ROUTE = (404, NOT_FOUND_TEXT, "no-route")
UNKNOWN_IDENTITY = (421, "no service here has this identity: gateways share one key", "unknown-identity")
"""For a request that says which service it is for, and is not known: it is never routed by anything else."""


class CachedHead:
    """A request head and where it leads by the snapshot in force, whoever sends it."""

    __slots__ = (
        "affine", "attempt_seconds", "cache", "first_byte_seconds", "head", "logged", "loose", "nowhere",
        "route", "starts", "state", "sticky", "total_seconds",
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
        self.cache: HeadCache[CachedHead] | None = None
        """Where it is kept."""
        self.loose = 0
        """Bytes it takes, when it is not kept: who uses it has to answer for them."""
        self.logged = ""
        """The access log's fields for it, once it has been logged."""
        self.starts: dict[ClusterState, bytes] = {}
        self.total_seconds = limits.total_seconds
        self.first_byte_seconds = limits.first_byte_seconds
        self.attempt_seconds = 0.0
        """For one attempt, with its answer; 0 for no bound of its own."""
        if route is not None and route.timeouts != NO_TIMEOUTS:
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
        found = self.starts.get(cluster)
        if found is None:
            to = cluster.cluster
            service, mark = b"", b""
            if self.route is not None:
                service = self.route.host
                mark = b"" if to.remote else served_mark(to.key, self.route.service)
                check_loop(self.head, mark)
            found = self.starts[cluster] = request_start(
                self.head, to.target(self.head.target), service, to_gateway=to.remote, identity=to.identity,
                sidecar=to.sidecar, mark=mark,
            )  # fmt: skip
            self._grew(len(found))
        return found

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
            self._grew(len(self.logged))
        return self.logged

    def _grew(self, more: int) -> None:
        if self.cache is None:
            self.loose += more
        else:
            self.cache.grow(more)
