"""TLS on a connection: records below, bytes above.

It is the protocol of a socket's transport, and the transport of the protocol above it, to which it looks like
a plain one. OpenSSL works in memory (ssl.MemoryBIO). What there is to read is read whole each time: nothing
is left waiting in it, and whoever stops reading above stops the socket itself.

TLS 1.3 alone, without tickets: connections are kept long, and a session that is resumed would be as good as
the certificates and roots of hours ago.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast

from gateway.edge.reading import read_rest

RECORD: Final = 16 * 1024
"""The most bytes in one record (RFC 8446, section 5.1). No more goes into OpenSSL's memory at once: it keeps
as much as it ever held."""

UNREAD_BYTES: Final = 64 * 1024
"""Dropped after a handshake that failed, while the other side reads why."""


CLOSED: Final = "closed"
"""Why there is no handshake when the other side just goes."""

REFUSALS: Final = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")
"""In the names of alerts by which a certificate is refused (RFC 8446, section 6.2)."""


class TlsRefusedError(Exception):
    """The other side refused this one's certificate: it has read nothing of what was sent to it."""


class TlsTransport:
    """An asyncio.Transport and an asyncio.Protocol in all but descent, which a compiled class cannot have.

    Derived classes say what a finished and a failed handshake mean.
    """

    __slots__ = (
        "above", "dead", "drain", "dropped", "ended", "fault", "feed", "got", "incoming", "open", "outgoing",
        "raw", "said_end", "seal", "tls", "told_end", "unseal",
    )  # fmt: skip

    raw: asyncio.Transport

    def __init__(self, context: ssl.SSLContext, above: Any, *, server_side: bool) -> None:
        """`above`: the protocol that gets the bytes."""
        self.above = above
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=server_side)
        # What each request calls, bound once. Of `tls` it is the object in C that ssl.SSLObject calls by a
        # function in Python for each of its names; all Pythons with that class have it.
        inner = cast("Any", self.tls)._sslobj
        self.feed: Callable[[bytes], int] = self.incoming.write
        self.drain: Callable[[], bytes] = self.outgoing.read
        self.unseal: Callable[[int], bytes] = inner.read
        self.seal: Callable[[bytes | memoryview], int] = inner.write
        self.fault: Exception | None = None
        self.dropped = 0
        self.open = False
        """The handshake is done."""
        self.got = False
        """Bytes for the protocol above have come."""
        self.ended = False
        """The other side has said that it sends no more."""
        self.told_end = False
        """The protocol above knows that."""
        self.said_end = False
        """This side has."""
        self.dead = False
        """The handshake has failed: nothing is read any more."""

    # For derived classes

    def opened(self) -> None:
        """The handshake is done; what came behind it is read next."""

    def failed(self, error: Exception, reason: str) -> None:
        """There is no handshake, and will be none. `reason` is a short word for it."""

    def deliver(self, data: bytes) -> None:
        self.above.data_received(data)

    def deliver_end(self) -> bool:
        kept: bool = self.above.eof_received()
        return kept

    # Protocol of the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.raw = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.dead:
            self.dropped += len(data)
            if self.dropped > UNREAD_BYTES:
                self.raw.abort()
            return
        parts: list[bytes] = []
        if len(data) <= RECORD:
            self._take(data, parts)
        else:
            for start in range(0, len(data), RECORD):
                self._take(data[start : start + RECORD], parts)
        self._flush()  # TLS itself may have to say something: new keys, an alert
        if parts:
            self.got = True
            self.deliver(parts[0] if len(parts) == 1 else b"".join(parts))
        if self.fault is not None and not self.dead:
            self.raw.abort()
        elif self.ended and not self.told_end:
            self.told_end = True
            if not self.deliver_end():
                self.close()

    def _take(self, data: bytes, parts: list[bytes]) -> None:
        """Add the bytes in some of what came to `parts`."""
        if self.dead or self.ended or self.fault is not None:
            return
        self.feed(data)
        if not (self.open or self.shake()):
            return
        incoming = self.incoming
        try:
            while incoming.pending:  # a record is read whole: OpenSSL holds nothing back
                found = self.unseal(RECORD)
                if not found:
                    self.ended = True
                    return
                parts.append(found)
        except ssl.SSLWantReadError:
            pass  # the rest of a record is to come
        except OSError as error:
            self.fault = self._meaning(error)

    def eof_received(self) -> bool:
        """Without an end that TLS says, an answer may have been cut off by anybody on the way."""
        if self.open and self.ended:
            return not self.said_end
        if self.fault is None:
            self.fault = ConnectionResetError("the other side closed the connection without ending TLS")
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None and self.open and not self.ended:
            read_rest(self.raw, self)
        if not self.open:
            self.fail(self.fault or error or ConnectionResetError("closed during the TLS handshake"), CLOSED)
        self.lost(self.fault or error)

    def lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        self.above.connection_lost(error)

    def pause_writing(self) -> None:
        self.above.pause_writing()

    def resume_writing(self) -> None:
        self.above.resume_writing()

    def reads_on(self) -> bool:
        """Whether what still lies in the socket is of use."""
        return self.open and not self.ended and self.fault is None

    # TLS

    def shake(self) -> bool:
        """Go on with the handshake; whether it is done."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except OSError as error:
            self._flush()  # the alert
            self.fail(error, _reason(error))
            return False
        self._flush()
        self.open = True
        self.opened()
        return not self.dead and not self.raw.is_closing()

    def fail(self, error: Exception, reason: str) -> None:
        """Give up a handshake, or who is there once it is done."""
        if not self.dead:
            self.dead = True
            self.fault = error
            self.failed(error, reason)

    def _meaning(self, error: OSError) -> Exception:
        # In TLS 1.3 the side that dialled is done first: that its certificate is refused it learns only now.
        reason = str(getattr(error, "reason", ""))
        refused = not self.got and "ALERT" in reason and any(word in reason for word in REFUSALS)
        return TlsRefusedError(f"the other side refuses this certificate: {reason}") if refused else error

    def _flush(self) -> None:
        if self.outgoing.pending and not self.raw.is_closing():
            self.raw.write(self.outgoing.read())

    def _say_end(self) -> None:
        if self.open and not self.said_end and not self.dead:
            self.said_end = True
            with suppress(OSError):  # it would wait for the other side's end, which need not come
                self.tls.unwrap()
            self._flush()

    # Transport of the protocol above

    def write(self, data: bytes) -> None:
        # Before the handshake nothing is said: who has no certificate learns nothing.
        if data and self.open and not self.said_end and not self.dead and not self.raw.is_closing():
            try:
                if len(data) <= RECORD:
                    self.seal(data)
                    out = self.drain()
                else:
                    view = memoryview(data)
                    out = b"".join([
                        self._record(view[start : start + RECORD]) for start in range(0, len(data), RECORD)
                    ])  # fmt: skip
            except OSError as error:
                self.fault = error
                self.raw.abort()
            else:
                self.raw.write(out)

    def _record(self, data: memoryview) -> bytes:
        self.seal(data)
        return self.drain()

    def can_write_eof(self) -> bool:
        return self.open

    def write_eof(self) -> None:
        self._say_end()

    def close(self) -> None:
        self._say_end()
        self.raw.close()

    def abort(self) -> None:
        self.raw.abort()

    def is_closing(self) -> bool:
        return self.dead or self.raw.is_closing()

    def pause_reading(self) -> None:
        self.raw.pause_reading()

    def resume_reading(self) -> None:
        self.raw.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.raw.set_write_buffer_limits(high=high, low=low)

    def get_write_buffer_size(self) -> int:
        held: int = self.raw.get_write_buffer_size()
        return held

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Of the connection. No `socket`: what is read from it directly would be records."""
        return default if name == "socket" else self.raw.get_extra_info(name, default)


def _reason(error: OSError) -> str:
    """OpenSSL's word for what went wrong, such as `certificate-verify-failed`."""
    return str(getattr(error, "reason", None) or CLOSED).lower().replace("_", "-").replace(" ", "-")
