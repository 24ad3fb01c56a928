"""One request and its answer: sent by as many attempts as are safe, streamed back, counted and logged."""

from __future__ import annotations

from time import monotonic

from gateway.core.answers import UNANSWERED
from gateway.core.body import Body, EndlessBody, passed_on
from gateway.core.errors import ProtocolError
from gateway.core.heads import CHUNKED, UNTIL_CLOSE
from gateway.core.health import EndpointHealth
from gateway.core.limits import REUSE_BODY_BYTES
from gateway.core.response import ResponseHead
from gateway.edge.answer import (
    added_fields,
    body_length,
    by_a_sidecar,
    by_a_stranger,
    framing,
    turned_away,
    unanswered,
)
from gateway.edge.attempts import LAST_SECONDS, Attempts
from gateway.edge.downstream import Downstream
from gateway.edge.registry import pool_of
from gateway.edge.replay import NO_BODY, ReplayBuffer
from gateway.edge.routed import RoutedHead
from gateway.edge.runtime import Runtime
from gateway.edge.upstream import PoolFull, Upstream, UpstreamUser


class Exchange(UpstreamUser):
    """Made by a downstream for each request; `start` sets it going.

    It outlives neither its downstream nor its answer. It borrows an upstream connection; whatever arrives
    late on a connection it has given back finds no exchange there.
    """

    __slots__ = (
        "answer", "answer_body", "attempts", "bytes_in", "bytes_out", "close_after", "downstream", "ended",
        "head", "kept", "request_id", "routed", "runtime", "started", "status", "tunnel", "upstream",
        "wants_body",
    )  # fmt: skip

    def __init__(self, runtime: Runtime, downstream: Downstream, routed: RoutedHead) -> None:
        head = routed.head
        self.waits = False
        self.runtime = runtime
        self.downstream = downstream
        self.routed = routed
        self.head = head
        self.started = monotonic()
        self.wants_body = head.length != 0
        """More of the request's body is to come."""
        self.kept = ReplayBuffer(runtime.replay_bytes) if head.length else NO_BODY
        self.attempts = Attempts(routed, runtime.attempts, self.started + routed.total_seconds)
        self.upstream: Upstream | None = None
        self.answer: ResponseHead | None = None
        self.answer_body: Body | None = None
        self.close_after = not head.keep_alive
        self.status = 0
        self.tunnel = False
        self.ended = False
        self.request_id = head.request_id
        self.bytes_in = 0
        self.bytes_out = 0

    # Downstream

    def start(self) -> None:
        """Begin. What came of the body together with the head has been given to `body_data` before."""
        route = self.routed.route
        if route is not None and not self.request_id:
            self.request_id = self.runtime.request_id()
        if self.routed.affine:
            by, secret = self.downstream, self.runtime.session_secret
            self.attempts.affinity = self.routed.affinity(by.peer, secret, trusted=by.trusted)
        self._attempt()

    def body_data(self, data: bytes, *, last: bool) -> None:
        """Bytes of the body or a tunnel. `last`: the body is complete."""
        if last:
            self.wants_body = False
        self.bytes_in += len(data)
        upstream = self.upstream
        self.kept.add(data, sent=upstream is not None)
        if upstream is not None:
            upstream.transport.write(data)
            self._await_peer()

    @property
    def can_take_body(self) -> bool:
        return not (self.kept.full if self.upstream is None else self.upstream.write_blocked)

    def client_eof(self) -> bool:
        """The client will send no more: it gave up, and the application learns it at once, as behind nginx.

        True to keep its connection: a tunnel alone has two ends.
        """
        if self.tunnel:
            if self.upstream is not None:
                self.upstream.end_writing()
            return True
        self._abort("client-gone")
        return False

    def client_lost(self) -> None:
        """The client is gone."""
        if not self.ended:
            self._finish("client-gone")
            self._drop_upstream()

    def client_writable(self) -> None:
        """Follow the client: one that does not read stops the upstream from being read."""
        if self.upstream is not None:
            self.upstream.set_reading(not self.downstream.write_blocked)

    def expired(self) -> None:
        """The deadline has passed."""
        now = self.runtime.now
        if self.tunnel or self.answer is not None:
            over = now >= self.attempts.deadline and not self.tunnel
            self._abort("total-timeout" if over else "stalled")
        elif self.waits:
            self.fail(503, "no connection to the service became free in time", "queue-timeout", refused=True)
        elif now >= self.attempts.latest:
            self.attempts.too_late(now, sending=self.wants_body)
            self.fail(504, "request took too long", "total-timeout")
        elif self.wants_body and now < self.attempts.deadline:
            self.fail(408, "request body stalled", "timeout")
        else:
            self._attempt_failed("no answer in time", status=504, certain=False)

    def _await_peer(self) -> None:
        """Set the deadline for whoever must move next."""
        runtime = self.runtime
        stalling = self.wants_body or self.answer is not None
        deadline = runtime.now + (runtime.stall_seconds if stalling else self.routed.first_byte_seconds)
        self.downstream.set_deadline(deadline if self.tunnel else min(deadline, self.attempts.deadline))

    # Attempts

    def _attempt(self) -> None:
        """Try the next endpoint, or answer when there is none."""
        full = False
        while pick := self.attempts.next(self.runtime.now):
            try:
                self.routed.aim(pick.state)
                self.waits = True
                self._await_peer()
                upstream = pool_of(pick.health).acquire(self, fresh=not self.head.idempotent)
            except ProtocolError as error:  # the rewritten target is none that can be sent
                self._end_attempt()
                self.fail(error.status, str(error), "loop" if error.status == 508 else "malformed")
                return
            except PoolFull:
                self._end_attempt()
                full = True
                continue
            if upstream is not None:
                self.connected(upstream)
            return
        status, text, reason = self.attempts.refusal(full=full, by_path=self.downstream.by_path)
        self.fail(status, text, reason, refused=self.attempts.seen is None)

    def _end_attempt(self) -> None:
        self.waits = False
        self.attempts.end()

    def connected(self, upstream: Upstream) -> None:
        self.waits = False
        self.upstream = upstream
        upstream.lend(self)
        head = self.head
        downstream = self.downstream
        own_id = b"" if head.request_id else self.request_id
        out = self.routed.written(self.attempts.pick.state, downstream.forwarded_fields(head), own_id)
        if self.kept.parts:
            out += b"".join(self.kept.parts)
            self.kept.trim()
        upstream.transport.write(out)
        self._await_peer()
        if self.wants_body:
            downstream.update_reading()

    def connect_failed(self, message: str, *, timed_out: bool) -> None:
        self._attempt_failed(message, status=504 if timed_out else 502, certain=True)

    def give_up(self, health: EndpointHealth) -> None:
        waiting = self.upstream is not None and self.answer is None and self.attempts.pick.health is health
        if waiting and self.head.idempotent and self.kept.complete:
            if self.attempts.has_another(self.runtime.now):
                self._attempt_failed("the service stopped answering", status=504, certain=False)
            else:
                self.downstream.set_deadline(self.runtime.now + LAST_SECONDS)

    def _attempt_failed(self, message: str, *, status: int, certain: bool) -> None:
        """It failed before any byte of an answer. `certain`: it cannot have been executed."""
        # A kept connection that the server had closed says nothing about the server: it may be tried again.
        stale = self.upstream is not None and self.upstream.used and self.upstream.lost
        untaken = certain or (self.upstream is not None and self.upstream.untaken)
        if not stale:
            self.attempts.pick.health.failed(self.runtime.now, certain=certain)
        if not untaken and not stale:
            self.attempts.seen = status, message
        safe = certain or ((untaken or self.head.idempotent) and self.kept.complete)
        if safe and self.attempts.may_repeat() and not self.downstream.is_closing():
            self._retry(same_endpoint=stale)
        else:
            unseen = untaken and self.attempts.seen is None
            self.fail(status, message, "unreachable" if untaken else UNANSWERED, refused=unseen)

    def _retry(self, *, same_endpoint: bool) -> None:
        self._drop_upstream()
        self.attempts.same = same_endpoint
        self._attempt()

    # Answer

    def upstream_interim(self, answer: ResponseHead) -> None:
        if self.head.minor:
            self.downstream.interim(answer)
        self._await_peer()

    def upstream_broken(self, text: str) -> None:
        self.attempts.pick.health.failed(self.runtime.now)
        self.fail(502, f"the service's answer cannot be passed on: {text}", "broken-answer")

    def upstream_answer(self, answer: ResponseHead, data: bytes) -> None:
        pick = self.attempts.pick
        end = len(data) - answer.rest
        remote = pick.state.remote
        stranger = remote and by_a_stranger(answer, pick.health)
        if (
            remote and unanswered(answer) and self.head.idempotent and self.kept.complete
            and self.attempts.may_leave(answer.status, self.runtime.now)
        ):  # fmt: skip
            self._retry(same_endpoint=False)
            return
        uninvoked = self.head.idempotent and by_a_sidecar(pick.state, answer, data, end)
        if uninvoked or (remote and (turned_away(answer) or (stranger and self.head.idempotent))):
            # No application answered, or so it seems: go on if there is somewhere to go.
            if remote:  # a sidecar serves other applications too
                pick.health.failed(self.runtime.now, certain=True)
            if self.kept.complete and self.attempts.may_go_elsewhere(self.runtime.now):
                self._retry(same_endpoint=False)
                return
            if uninvoked:
                self.fail(502, "no answer by way of Dapr's sidecars", "not-invoked", refused=True)
                return
        self.answer = answer
        self.status = answer.status
        if answer.status == 101:
            self._begin_tunnel(answer, data[end:])
            return
        if remote and (turned_away(answer) or stranger):
            pick.health.failed(self.runtime.now)
        elif pick.health.failures:
            pick.health.succeeded()
        head = self.head
        length = body_length(head, answer)
        decode = length == CHUNKED and head.minor == 0
        self.answer_body = framing(length, answer.rest, decode=decode)
        if length == UNTIL_CLOSE or decode or self.wants_body or self.runtime.draining:
            self.close_after = True
        secret = self.runtime.session_secret
        extra = b"" if stranger else added_fields(self.routed, answer, pick, self.attempts.affinity, secret)
        changed = self.downstream.answer_head(
            head, answer, trusted=remote, close=self.close_after, decode=decode, extra=extra
        )
        out, answer.onward = changed + data[end:] if changed else answer.onward, b""
        if self.answer_body is not None:
            self._answer_data(out, len(out) - answer.rest)
            return
        clean = length == answer.rest  # no body, or all of it is here
        if not clean:
            out = out[: len(out) - answer.rest]
        self.downstream.send(out)
        self.bytes_out += len(out)
        self._answer_complete(clean=clean)

    def upstream_data(self, data: bytes) -> None:
        if self.tunnel:
            self.bytes_out += len(data)
            self.downstream.send(data)
            self._await_peer()
        else:
            self._answer_data(data, 0)

    def _answer_data(self, data: bytes, start: int) -> None:
        """Body bytes from `start`; what is before it in `data` is the head."""
        body = self.answer_body
        if body is None:
            return
        try:
            end = body.feed(data, start)
        except ProtocolError as error:
            if start:
                self.answer = None  # nothing of it has reached the client yet
            self.upstream_broken(str(error))
            return
        out = passed_on(body, data, start, end)
        self.bytes_out += len(out)
        self.downstream.send(out)
        if end >= 0:
            self._answer_complete(clean=end == len(data))
        else:
            self._await_peer()

    def _answer_complete(self, *, clean: bool) -> None:
        """The last byte is written. `clean`: nothing unexpected followed it."""
        upstream, self.upstream = self.upstream, None
        answer = self.answer
        if upstream is not None and answer is not None:
            if self.wants_body:
                upstream.discard()
            else:
                read = self.bytes_in <= REUSE_BODY_BYTES or self.attempts.pick.state.remote
                upstream.give_back(keep=clean and answer.keep_alive and read)
        self._finish("")
        self.downstream.exchange_done(keep=not self.close_after)

    def _begin_tunnel(self, answer: ResponseHead, rest: bytes) -> None:
        upstream = self.upstream
        if upstream is None or not self.head.upgrade or not answer.upgrade:
            self.answer = None
            self.upstream_broken("the service switched protocols without being asked")
            return
        self.tunnel = True
        self.wants_body = True  # everything the client sends from here on is passed on
        self.close_after = True
        self.kept = ReplayBuffer(0)
        self.downstream.interim(answer)
        if rest:
            self.downstream.send(rest)
        if early := self.downstream.begin_tunnel():
            upstream.transport.write(early)
        self._await_peer()

    def upstream_writable(self) -> None:
        self.downstream.update_reading()

    def upstream_eof(self) -> bool:
        return self.tunnel and self.downstream.end_writing()

    def upstream_lost(self, error: Exception | None) -> None:
        if self.ended:
            return
        if self.tunnel:
            self._finish("")
            self.upstream = None
            self.downstream.close()
        elif self.answer is not None:
            if isinstance(self.answer_body, EndlessBody) and error is None:
                self._answer_complete(clean=False)
            else:
                self._abort("answer-cut-off")
        elif self.upstream is not None and self.upstream.buffer:
            self.upstream_broken("answer ended in the middle of its head")
        else:
            self._attempt_failed("the service closed without an answer", status=502, certain=False)

    # Ends

    def fail(self, status: int, text: str, reason: str, *, refused: bool = False) -> None:
        """Answer for an exchange that went wrong, or cut it off when an answer has begun.

        `refused`: no application has seen the request, so that a gateway in front may go elsewhere.
        """
        if self.answer is not None:
            self._abort(reason)
            return
        self._drop_upstream()
        self.status = status
        if self.wants_body or self.runtime.draining:
            self.close_after = True
        self.runtime.metrics.answered(status, reason)
        self.bytes_out += self.downstream.send_own(
            self.head, status, text, refused=reason if refused else "", unanswered=reason == UNANSWERED,
            close=self.close_after,
        )  # fmt: skip
        self._finish(reason)
        self.downstream.exchange_done(keep=not self.close_after)

    def _abort(self, reason: str) -> None:
        self._finish(reason)
        self._drop_upstream()
        self.downstream.abort()

    def _drop_upstream(self) -> None:
        """Give up the attempt under way, if any."""
        upstream, self.upstream = self.upstream, None
        if not self.ended and (self.waits or upstream is not None):
            self._end_attempt()
        if upstream is not None:
            upstream.discard()

    def _finish(self, reason: str) -> None:
        """Count and log, once."""
        if self.ended:
            return
        if self.waits or self.upstream is not None or self.answer is not None:
            self._end_attempt()
        self.ended = True
        seconds = monotonic() - self.started
        pick = self.attempts.pick if self.attempts.count else None
        status = self.status or 499
        if pick is not None:
            reason = reason or pick.reason
            self.attempts.finished(status, seconds, answered=self.answer is not None)
        if (log := self.runtime.log) is not None:
            client = self.downstream.logged or self.downstream.describe()
            log.write_exchange(
                client, self.head, self.routed.state, pick, reason, self.attempts.count, status, seconds,
                self.bytes_in, self.bytes_out, self.request_id,
            )  # fmt: skip
