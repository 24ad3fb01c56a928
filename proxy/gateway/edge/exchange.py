"""One request and its answer: the answer streamed back, tunnels, and what becomes of either side's end."""

from __future__ import annotations

from gateway.core.affinity import session_cookie
from gateway.core.answers import DOUBTFUL, PASSED_FIELD
from gateway.core.body import ChunkedBody, EndlessBody, LengthBody
from gateway.core.errors import ProtocolError
from gateway.core.forward import response_head
from gateway.core.heads import CHUNKED, UNTIL_CLOSE, head_end
from gateway.core.response import ResponseHead, parse_response_head
from gateway.edge.sending import Sending


class Exchange(Sending):
    """`Sending` with the way back."""

    __slots__ = ()

    # Client

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
        worker = self.worker
        try:
            while end := head_end(data, worker.head_bytes):
                raw = data[:end] if end < len(data) else data
                answer = worker.responses.entries.get(raw)
                if answer is None:
                    answer = parse_response_head(raw, worker.limits)
                    worker.responses.keep(raw, answer)
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
        remote = pick.state.remote
        stranger = remote and self._by_a_stranger(answer)
        if remote and (answer.refused or (stranger and self.head.idempotent)) and self._try_elsewhere():
            return
        self.answer = answer
        self.status = answer.status
        if answer.status == 101:
            self._begin_tunnel(answer, raw, data[end:])
            return
        if remote and (answer.refused or stranger):
            pick.health.failed(self.worker.now)
        elif pick.health.failures:
            pick.health.succeeded()
        head = self.head
        length = answer.length
        if answer.status == 204 or answer.status == 304 or head.method == b"HEAD":  # noqa: PLR1714  hot
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
            extra=b"" if stranger else self._added_fields(answer),
        )
        if self.answer_body is None:  # no body, or all of it is here
            if length:
                out = data if out == raw else out + data[end:]
            self.client.transport.write(out)
            self.bytes_out += len(out)
            self._answer_complete(clean=end + length == len(data))
        else:
            self._answer_data(data, end, b"" if out == raw else out)

    def _by_a_stranger(self, answer: ResponseHead) -> bool:
        """Whether somebody else seems to answer where a gateway that marks its answers was before."""
        doubtful = answer.status in DOUBTFUL and not answer.refused and not answer.passed
        return doubtful and self.pick.health.marks

    def _added_fields(self, answer: ResponseHead) -> bytes:
        """For the client a session cookie, for a gateway in front a mark: this is no stranger's."""
        added = self._session_field() if self.known.sticky and not self.pick.state.remote else b""
        if self.head.hops and answer.status in DOUBTFUL and not answer.refused and not answer.passed:
            added += PASSED_FIELD
        return added

    def _session_field(self) -> bytes:
        pick, affinity = self.pick, self.affinity
        if affinity is not None and (affinity.cluster, affinity.endpoint) == (
            pick.state.tag,
            pick.health.tag,
        ):
            return b""
        return session_cookie(pick.state.cluster.key, str(pick.health.endpoint))

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
        """No application answered, or so it seems: go on if there is somewhere to go."""
        self.pick.health.failed(self.worker.now, certain=True)
        if self.kept is None or self.attempts >= self.worker.attempts:
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

    def _broken_answer(self, text: str) -> None:
        self.pick.health.failed(self.worker.now)
        self._fail(502, f"the service's answer cannot be passed on: {text}", "broken-answer")
