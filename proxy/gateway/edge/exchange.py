"""One request and its answer: chosen endpoint, attempts, streaming both ways, and how it ended.

An exchange outlives neither its client connection nor its answer. It borrows an upstream connection; whatever
arrives late on a connection it has given back finds no exchange there.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from gateway.core.affinity import DEFAULT_BALANCING, Affinity, read_affinity, session_cookie
from gateway.core.answers import NOT_FOUND_TEXT, make_answer
from gateway.core.balance import Pick, RouteState
from gateway.core.body import Body, ChunkedBody, EndlessBody, LengthBody
from gateway.core.errors import ProtocolError
from gateway.core.forward import request_tail, response_head
from gateway.core.heads import CHUNKED, UNTIL_CLOSE, head_end
from gateway.core.health import EndpointHealth
from gateway.core.request import RequestHead
from gateway.core.response import ResponseHead, parse_response_head
from gateway.core.route import Route
from gateway.edge.metrics import observe
from gateway.edge.pool import PoolFull
from gateway.edge.upstream import Upstream

if TYPE_CHECKING:
    from gateway.edge.client import Client


class Exchange:
    """Made by a client connection for each request; `start` sets it going."""

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
        "pick",
        "reading_upstream",
        "request_id",
        "route",
        "started",
        "state",
        "status",
        "tail",
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
    tail: bytes
    """Set when there is a route."""
    pick: Pick
    """Set at the first attempt."""

    def __init__(
        self, client: Client, head: RequestHead, route: Route | None, state: RouteState | None
    ) -> None:
        self.client = client
        self.worker = client.worker
        self.head = head
        self.route = route
        if state is not None:
            self.state = state
        self.started = monotonic()
        self.hard_deadline = self.worker.now + self.worker.limits.total_seconds
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
        route = self.route
        if route is None:
            self._own_answer(404, NOT_FOUND_TEXT, "no-route", refused=True)
            return
        if not self.request_id:
            self.request_id = self.worker.request_id()
        client = self.client
        self.tail = request_tail(head, client.peer, client.forwarded_for(head.host), self.request_id)
        if head.cookie or route.balancing is not DEFAULT_BALANCING:
            self.affinity = read_affinity(route.balancing, head, self.client.peer)
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
            if self.kept is not None and self.kept_bytes > self.worker.limits.replay_bytes:
                self.kept = None
            upstream.transport.write(data)
            self._await_peer()
        self.client.update_reading()

    @property
    def can_take_body(self) -> bool:
        if self.upstream is not None:
            return not self.upstream.write_blocked
        return self.kept_bytes <= self.worker.limits.replay_bytes

    def client_eof(self) -> bool:
        """The client will send no more. True to keep the connection for the answer."""
        if self.tunnel:
            if self.upstream is not None and self.upstream.transport.can_write_eof():
                self.upstream.transport.write_eof()
            return True
        if self.wants_body:
            self._abort("client-gone")
            return False
        return True

    def client_lost(self) -> None:
        """The client connection is gone."""
        if not self.ended:
            self._finish("client-gone")
            self._drop_upstream()

    def expired(self) -> None:
        """The deadline set on the client connection has passed."""
        if self.tunnel or self.answer is not None:
            self._abort("stalled")
        elif self.waits:
            self._fail(503, "no connection to the service became free in time", "queue-timeout", refused=True)
        elif self.worker.now >= self.hard_deadline:
            self._fail(504, "request took too long", "total-timeout")
        elif self.wants_body:
            self._fail(408, "request body stalled", "timeout")
        else:
            self._lost_upstream("no answer in time", status=504, certain=False)

    def _await_peer(self) -> None:
        """Set the deadline for whoever must move next."""
        limits = self.worker.limits
        stalling = self.wants_body or self.answer is not None
        deadline = self.worker.now + (limits.stall_seconds if stalling else limits.first_byte_seconds)
        self.client.deadline = deadline if self.tunnel else min(deadline, self.hard_deadline)

    # Attempts

    def _attempt(self) -> None:
        """Try the next endpoint, or answer when there is none."""
        worker = self.worker
        full = False
        while self.attempts < worker.limits.attempts:
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
        share = self.pick.state.share
        out = head.method + b" " + share.target(head.target) + self.tail
        if share.remote:
            out += b"\r\nX-Gateway-Hops: %d\r\n\r\n" % (head.hops + 1)
        else:
            out += b"\r\n\r\n"
        if self.kept:
            out += b"".join(self.kept)
            if self.kept_bytes > self.worker.limits.replay_bytes:
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
        again = safe and self.attempts < self.worker.limits.attempts and self.state.may_retry()
        if again and not self.client.transport.is_closing():
            self.worker.metrics.retries += 1
            self._drop_upstream()
            if stale:
                self.tried.pop()
            self._attempt()
        else:
            self._fail(status, message, "unreachable" if certain else "no-answer", refused=certain)

    # Answer

    def upstream_data(self, data: bytes) -> None:
        """Bytes of the answer."""
        if self.answer is not None:
            if self.tunnel:
                self.bytes_out += len(data)
                self.client.transport.write(data)
                self._await_peer()
            else:
                self._answer_data(data, 0, b"")
            return
        if self.buffer:
            data = self.buffer + data
            self.buffer = b""
        limits = self.worker.limits
        try:
            while end := head_end(data, limits.head_bytes):
                raw = data[:end] if end < len(data) else data
                answer = self.worker.response_memo.get(raw)
                if answer is None:
                    answer = parse_response_head(raw, limits)
                    self.worker.response_memo.keep(raw, answer)
                if answer.status >= 200 or answer.status == 101:
                    self._begin_answer(answer, raw, data, end)
                    return
                if self.head.minor:
                    self.client.transport.write(response_head(answer, raw, trusted=False))
                self._await_peer()
                data = data[end:]
        except ProtocolError as error:
            self._broken_answer(str(error))
        else:
            self.buffer = data

    def _begin_answer(self, answer: ResponseHead, raw: bytes, data: bytes, end: int) -> None:
        pick = self.pick
        remote = pick.state.share.remote
        if answer.refused and remote and self._try_elsewhere():
            return
        self.answer = answer
        self.status = answer.status
        if answer.status == 101:
            self._begin_tunnel(answer, raw, data[end:])
            return
        if answer.refused and remote:
            pick.health.failed(self.worker.now)
        elif pick.health.failures:
            pick.health.succeeded()
        head = self.head
        length = answer.length
        if head.method == b"HEAD" or answer.status in {204, 304}:
            length = 0
        decode = length == CHUNKED and head.minor == 0
        if length == CHUNKED:
            self.answer_body = ChunkedBody(decode=decode)
        elif length == UNTIL_CLOSE:
            self.answer_body = EndlessBody()
        elif length and end + length != len(data):
            self.answer_body = LengthBody(length)
        if length == UNTIL_CLOSE or decode or self._must_close():
            self.close_after = True
        close = self.close_after
        out = response_head(
            answer,
            raw,
            trusted=remote,
            close=close,
            keep_for_1_0=head.minor == 0 and not close,
            decode=decode,
            extra=self._session_field() if self.state.route.balancing.sticky and not remote else b"",
        )
        if self.answer_body is None:  # no body, or all of it is here
            if length:
                out = data if out is raw else out + data[end:]
            self.client.transport.write(out)
            self.bytes_out += len(out)
            self._answer_complete(clean=end + length == len(data))
        else:
            self._answer_data(data, end, b"" if out is raw else out)

    def _must_close(self) -> bool:
        """Whether the client's connection cannot carry another request after this one."""
        client = self.client
        return self.wants_body or self.worker.draining or (client.ended and not client.buffer)

    def _session_field(self) -> bytes:
        pick, affinity = self.pick, self.affinity
        if affinity is not None and (affinity.cluster, affinity.endpoint) == (
            pick.state.tag,
            pick.health.tag,
        ):
            return b""
        return session_cookie(pick.state.share.cluster, str(pick.health.endpoint))

    def _answer_data(self, data: bytes, start: int, head: bytes) -> None:
        """Body bytes from `start`; what is before it in `data` is the head unless `head` replaces it."""
        body = self.answer_body
        if body is None:
            return
        try:
            end = body.feed(data, start)
        except ProtocolError as error:
            if start:
                self.answer = None  # nothing of it has reached the client yet
            self._broken_answer(str(error))
            return
        out = data if end < 0 or end == len(data) else data[:end]
        if isinstance(body, ChunkedBody) and body.payload is not None:
            out = head + b"".join(body.payload)
            body.payload.clear()
        elif head:
            out = head + out[start:]
        self.bytes_out += len(out)
        self.client.transport.write(out)
        if end >= 0:
            self._answer_complete(clean=end == len(data))
        else:
            self._await_peer()

    def _answer_complete(self, *, clean: bool) -> None:
        """The last byte is written. `clean`: nothing unexpected followed it."""
        upstream, self.upstream = self.upstream, None
        answer = self.answer
        if upstream is not None and answer is not None and not upstream.lost:
            upstream.exchange = None
            upstream.used = True
            if not self.reading_upstream and not upstream.transport.is_closing():
                upstream.transport.resume_reading()
            if self.wants_body:
                upstream.transport.abort()
            elif clean and answer.keep_alive:
                upstream.pool.release(upstream)
            else:
                upstream.transport.close()
        self._finish("")
        self.client.exchange_done(self, keep=not self.close_after)

    def _try_elsewhere(self) -> bool:
        """Another gateway said that no application saw the request: go on if there is somewhere to go."""
        self.pick.health.failed(self.worker.now, certain=True)
        if self.kept is None or self.attempts >= self.worker.limits.attempts:
            return False
        if not self.state.available(self.worker.now, self.tried) or not self.state.may_retry():
            return False
        self.worker.metrics.retries += 1
        self._drop_upstream()
        self._attempt()
        return True

    def upstream_eof(self) -> bool:
        """The upstream sends no more. True to keep its connection for writing: only a tunnel needs that."""
        client = self.client.transport
        if self.tunnel and not client.is_closing() and client.can_write_eof():
            client.write_eof()
            return True
        return False

    def upstream_lost(self, error: Exception | None) -> None:
        """The upstream connection is gone."""
        if self.ended:
            return
        if self.tunnel:
            self._finish("")
            self.upstream = None
            self.client.transport.close()
        elif self.answer is not None:
            if isinstance(self.answer_body, EndlessBody) and error is None:
                self._answer_complete(clean=False)
            else:
                self._abort("answer-cut-off")
        elif self.buffer:
            self._broken_answer("answer ended in the middle of its head")
        else:
            self._lost_upstream(
                "the service closed the connection without an answer", status=502, certain=False
            )

    def update_upstream_reading(self) -> None:
        """Follow the client: a client that does not read stops the upstream from being read."""
        upstream = self.upstream
        wanted = not self.client.write_blocked
        if upstream is not None and wanted != self.reading_upstream and not upstream.transport.is_closing():
            self.reading_upstream = wanted
            if wanted:
                upstream.transport.resume_reading()
            else:
                upstream.transport.pause_reading()

    def _begin_tunnel(self, answer: ResponseHead, raw: bytes, rest: bytes) -> None:
        upstream = self.upstream
        if upstream is None or not self.head.upgrade or not answer.upgrade:
            self.answer = None
            self._broken_answer("the service switched protocols without being asked")
            return
        self.tunnel = True
        self.wants_body = True  # everything the client sends from here on is passed on
        self.close_after = True
        self.body = EndlessBody()
        self.kept = None
        self.client.transport.write(response_head(answer, raw, trusted=False) + rest)
        if self.client.buffer:
            early, self.client.buffer = self.client.buffer, b""
            upstream.transport.write(early)
        self._await_peer()

    # Ends

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

    def _broken_answer(self, text: str) -> None:
        self.pick.health.failed(self.worker.now)
        self._fail(502, f"the service's answer cannot be passed on: {text}", "broken-answer")

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
        if worker.log is None:
            return
        head, route = self.head, self.route
        worker.log.write(
            {
                "listener": self.client.listener.value,
                "client": self.client.peer.decode(),
                "method": head.method.decode(),
                "host": head.host.decode("latin-1"),
                "target": head.target.decode("latin-1"),
                "status": self.status or 499,
                "seconds": round(seconds, 6),
                "bytes_in": self.bytes_in,
                "bytes_out": self.bytes_out,
                "service": route.service if route else None,
                "policy": route.policy if route else None,
                "cluster": pick.state.share.cluster if pick else None,
                "endpoint": str(pick.health.endpoint) if pick else None,
                "reason": reason or (pick.reason if pick else ""),
                "attempts": self.attempts,
                "request_id": self.request_id.decode("latin-1"),
            }
        )
