"""The first half of an exchange: the request on its way, by as many attempts as are safe, and ways to end.

An exchange outlives neither its client connection nor its answer. It borrows an upstream connection; whatever
arrives late on a connection it has given back finds no exchange there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from time import monotonic
from typing import TYPE_CHECKING

from gateway.core.affinity import Affinity, read_affinity
from gateway.core.answers import NOT_FOUND_TEXT, make_answer
from gateway.core.balance import Pick, RouteState
from gateway.core.body import Body, ChunkedBody, LengthBody
from gateway.core.errors import ProtocolError
from gateway.core.forward import continued_fields
from gateway.core.heads import CHUNKED
from gateway.core.health import EndpointHealth
from gateway.core.response import ResponseHead
from gateway.edge.accesslog import decimal, quoted
from gateway.edge.memo import Known, logged_request
from gateway.edge.metrics import observe
from gateway.edge.pool import PoolFull
from gateway.edge.upstream import Upstream

if TYPE_CHECKING:
    from gateway.edge.client import Client


class Sending(ABC):
    """Made by a client connection for each request, as an `Exchange`; `start` sets it going."""

    __slots__ = (
        "affinity",
        "answer",
        "answer_body",
        "attempts",
        "body",
        "buffer",
        "bytes_in",
        "bytes_out",
        "client",
        "close_after",
        "ended",
        "hard_deadline",
        "head",
        "kept",
        "kept_bytes",
        "known",
        "pick",
        "reading_upstream",
        "request_id",
        "started",
        "state",
        "status",
        "tried",
        "tunnel",
        "upstream",
        "waits",
        "wants_body",
        "worker",
    )

    body: Body
    """Set when the request has one."""
    state: RouteState
    """Set when there is a route."""
    pick: Pick
    """Set at the first attempt."""

    def __init__(self, client: Client, known: Known) -> None:
        worker = client.worker
        head = known.head
        self.client = client
        self.worker = worker
        self.known = known
        self.head = head
        self.started = monotonic()
        self.hard_deadline = worker.now + worker.total_seconds
        self.wants_body = head.length != 0
        """More of the request's body is to come."""
        self.kept: list[bytes] | None = []
        """The body so far while it is short enough to be sent again; None once it is not."""
        self.kept_bytes = 0
        self.affinity: Affinity | None = None
        self.tried: list[EndpointHealth] = []
        self.attempts = 0
        self.upstream: Upstream | None = None
        self.waits = False
        """Waiting for a connection."""
        self.reading_upstream = True
        self.buffer = b""
        """An unfinished answer head."""
        self.answer: ResponseHead | None = None
        self.answer_body: Body | None = None
        self.close_after = not head.keep_alive
        self.status = 0
        self.tunnel = False
        self.ended = False
        self.request_id = head.request_id
        self.bytes_in = 0
        self.bytes_out = 0

    # What arrives on the upstream connection, see `Exchange`

    @abstractmethod
    def upstream_data(self, data: bytes) -> None:
        """Bytes of the answer."""

    @abstractmethod
    def upstream_eof(self) -> bool:
        """The upstream sends no more. True to keep its connection for writing."""

    @abstractmethod
    def upstream_lost(self, error: Exception | None) -> None:
        """The upstream connection is gone."""

    # Request

    def start(self, rest: bytes) -> None:
        """Begin, with the bytes that came after the head."""
        head = self.head
        if head.length == CHUNKED:
            self.body = ChunkedBody(self.worker.limits.body_bytes)
        elif head.length:
            self.body = LengthBody(head.length)
        if rest:
            if self.wants_body:
                self.client_data(rest)
                if self.ended:
                    return
            else:
                self.client.buffer = rest
                self.client.update_reading()
        known = self.known
        state = known.state
        if state is None:
            self._own_answer(404, NOT_FOUND_TEXT, "no-route", refused=True)
            return
        self.state = state
        if not self.request_id:
            self.request_id = self.worker.request_id()
        if known.affine:
            client = self.client
            balancing = state.route.balancing
            self.affinity = read_affinity(balancing, head, client.peer, trusted=client.trusted)
        self._attempt()

    def client_data(self, data: bytes) -> None:
        """Bytes of the body, perhaps followed by the next request."""
        try:
            end = self.body.feed(data, 0)
        except ProtocolError as error:
            self._fail(error.status, str(error), "malformed")
            return
        if end >= 0:
            self.wants_body = False
            if end < len(data):
                self.client.buffer = data[end:]
                data = data[:end]
        self.bytes_in += len(data)
        if self.kept is not None:
            self.kept.append(data)
            self.kept_bytes += len(data)
        upstream = self.upstream
        if upstream is not None:
            if self.kept is not None and self.kept_bytes > self.worker.replay_bytes:
                self.kept = None
            upstream.transport.write(data)
            self._await_peer()
        self.client.update_reading()

    @property
    def can_take_body(self) -> bool:
        if self.upstream is not None:
            return not self.upstream.write_blocked
        return self.kept_bytes <= self.worker.replay_bytes

    def _await_peer(self) -> None:
        """Set the deadline for whoever must move next."""
        worker = self.worker
        stalling = self.wants_body or self.answer is not None
        deadline = worker.now + (worker.stall_seconds if stalling else worker.first_byte_seconds)
        if deadline > self.hard_deadline and not self.tunnel:
            deadline = self.hard_deadline
        self.client.deadline = deadline

    # Attempts

    def _attempt(self) -> None:
        """Try the next endpoint, or answer when there is none."""
        worker = self.worker
        full = False
        while self.attempts < worker.attempts:
            pick = self.state.pick(worker.now, self.tried, self.affinity)
            if pick is None:
                break
            self.pick = pick
            self.attempts += 1
            self.tried.append(pick.health)
            self.waits = True
            self._await_peer()
            pick.health.active += 1
            try:
                upstream = pick.health.pool.acquire(self)
            except PoolFull:
                self._end_attempt()
                full = True
                continue
            if upstream is not None:
                self.connected(upstream)
            return
        if full:
            self._fail(503, "all connections to the service are busy", "overload", refused=True)
        elif self.attempts:
            self._fail(502, "no endpoint of the service could be reached", "unreachable", refused=True)
        elif self.client.by_path:
            # As the article's mesh answers: a path whose Service has no ready endpoint is not there.
            self._own_answer(404, NOT_FOUND_TEXT, "no-endpoints", refused=True)
        else:
            route = self.state.route
            text = f"{route.where} has no ready endpoint that its policy ({route.policy}) allows"
            self._own_answer(503, text, "no-endpoints", refused=True)

    def give_up(self, health: EndpointHealth) -> None:
        """Stop waiting for an endpoint known to be dead, if this request can be sent again."""
        waiting = self.upstream is not None and self.answer is None and self.pick.health is health
        if waiting and self.head.idempotent and self.kept is not None:
            self._lost_upstream("the service stopped answering", status=504, certain=False)

    def _end_attempt(self) -> None:
        """The request is no longer on its way to, or at, the endpoint picked last."""
        self.waits = False
        if self.attempts:
            self.pick.health.active -= 1

    def connected(self, upstream: Upstream) -> None:
        """A connection is ours: send what there is of the request."""
        self.waits = False
        self.upstream = upstream
        upstream.exchange = self
        self.reading_upstream = True
        head = self.head
        client = self.client
        start = self.known.start(self.pick.state)
        if client.trusted and head.forwarded is not None:
            forwarded = continued_fields(head, client.peer)
        else:
            forwarded = client.forwarded_for(head.host)
        if head.request_id:
            out = start + forwarded + b"\r\n\r\n"
        else:
            out = b"".join((start, forwarded, b"\r\nX-Request-Id: ", self.request_id, b"\r\n\r\n"))
        if self.kept:
            out += b"".join(self.kept)
            if self.kept_bytes > self.worker.replay_bytes:
                self.kept = None
        upstream.transport.write(out)
        self._await_peer()
        if self.wants_body:
            self.client.update_reading()

    def connect_failed(self, message: str, *, timed_out: bool) -> None:
        """Nothing was sent: any request may go elsewhere."""
        self._lost_upstream(message, status=504 if timed_out else 502, certain=True)

    def _lost_upstream(self, message: str, *, status: int, certain: bool) -> None:
        """The attempt failed before any byte of an answer. `certain`: it cannot have been executed."""
        # A kept connection that the server had closed says nothing about the server: it may be tried again.
        stale = self.upstream is not None and self.upstream.used and self.upstream.lost
        if not stale:
            self.pick.health.failed(self.worker.now, certain=certain)
        safe = certain or (self.head.idempotent and self.kept is not None)
        again = safe and self.attempts < self.worker.attempts and self.state.may_retry()
        if again and not self.client.transport.is_closing():
            self.worker.metrics.retries += 1
            self._drop_upstream()
            if stale:
                self.tried.pop()
            self._attempt()
        else:
            self._fail(status, message, "unreachable" if certain else "no-answer", refused=certain)

    # Ends

    def _must_close(self) -> bool:
        """Whether the client's connection cannot carry another request after this one."""
        client = self.client
        return self.wants_body or self.worker.draining or (client.ended and not client.buffer)

    def _fail(self, status: int, text: str, reason: str, *, refused: bool = False) -> None:
        """Answer for an exchange that went wrong, or cut it off when an answer has begun."""
        if self.answer is not None:
            self._abort(reason)
            return
        self._drop_upstream()
        self._own_answer(status, text, reason, refused=refused)

    def _own_answer(self, status: int, text: str, reason: str, *, refused: bool) -> None:
        """`refused`: no application has seen the request, so that a gateway in front may go elsewhere."""
        self.status = status
        if self._must_close():
            self.close_after = True
        self.worker.metrics.answered(status, reason)
        out = make_answer(
            status,
            text,
            refused=reason if refused else "",
            close=self.close_after,
            head_only=self.head.method == b"HEAD",
            minor=self.head.minor,
        )
        self.bytes_out += len(out)
        self.client.transport.write(out)
        self._finish(reason)
        self.client.exchange_done(self, keep=not self.close_after)

    def _abort(self, reason: str) -> None:
        """Cut the client off: the only honest end of an answer that has begun and cannot be finished."""
        self._finish(reason)
        self._drop_upstream()
        self.client.transport.abort()

    def _drop_upstream(self) -> None:
        """Give up the attempt under way, if any."""
        upstream, self.upstream = self.upstream, None
        if not self.ended and (self.waits or upstream is not None):
            self._end_attempt()
        if upstream is not None and not upstream.lost:
            upstream.discard()

    def _finish(self, reason: str) -> None:
        """Count and log, once."""
        if self.ended:
            return
        if self.waits or self.upstream is not None or self.answer is not None:
            self._end_attempt()
        self.ended = True
        worker = self.worker
        seconds = monotonic() - self.started
        pick = self.pick if self.attempts else None
        if pick is not None:
            observe(pick.state, self.status or 499, seconds)
        if worker.log is not None:
            worker.log.write(self._line(seconds, reason or (pick.reason if pick is not None else "")))

    def _line(self, seconds: float, reason: str) -> str:
        """What the access log says. What it says again and again is kept with what it is said of."""
        client, known = self.client, self.known
        if not known.logged:
            known.logged = logged_request(known.head, known.route)
        cluster, endpoint = '"cluster":null', '"endpoint":null'
        if self.attempts:
            serving, health = self.pick.state, self.pick.health
            if not serving.logged:
                serving.logged = f'"cluster":{quoted(serving.cluster.key)}'
            if not health.logged:
                health.logged = f'"endpoint":{quoted(health.name)}'
            cluster, endpoint = serving.logged, health.logged
        request_id = self.request_id.decode("latin-1")
        if self.head.request_id:  # a client's own may hold anything a field may
            request_id = quoted(request_id)[1:-1]
        return (
            f'{client.logged or client.describe()},{known.logged},{cluster},{endpoint},"reason":"{reason}",'
            f'"attempts":{self.attempts},"status":{self.status or 499},"seconds":{decimal(seconds)},'
            f'"bytes_in":{self.bytes_in},"bytes_out":{self.bytes_out},"request_id":"{request_id}"'
        )
