"""Limits: every bound of the gateway in one place, each with its unit and reason.

What one connection can make the gateway hold follows from these: at most one head, one read ahead and one
write buffer; per exchange at most one replay buffer. What all of them can hold together is `meter`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

CHUNK_LINE_BYTES = 256
"""Longest chunk-size line with extensions. Sizes need 16 digits; extensions are all but unused."""

TRAILER_BYTES = 8 * 1024
"""Trailer section of a chunked body. Checksums and gRPC status fit many times over."""

READ_AHEAD_BYTES = 64 * 1024
"""Pipelined requests or early body bytes kept while a client must wait; then its socket is not read."""

WRITE_HIGH_BYTES = 256 * 1024
"""Unsent bytes towards a slow peer at which the other side is no longer read. Large enough that a fast
transfer does not stop and go. Less where memory is small."""

WRITE_SHORT_BYTES = 32 * 1024
"""The same while memory is short."""

LINGER_BYTES = 256 * 1024 * 1024
LINGER_SECONDS = 30.0
"""What is still read and dropped after a final answer, so that the peer reads it instead of a reset: many
clients send a whole body before they read. Dropping costs no memory, and the time is nginx's
`lingering_time`."""


TOLD_CLIENTS = 1024
"""Clients beyond the limit of `clients` that are told so. More are just closed: telling costs too."""

REUSE_BODY_BYTES = 32 * 1024
"""After a longer request body a connection to an application carries no other request. One that answers
before it has read a body may announce that it keeps the connection, and then close it because too much is
left to drop (64 KiB for gunicorn): a request sent in between would be lost."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds an operator may want to move. Times in seconds, sizes in bytes."""

    head_bytes: int = 32 * 1024
    """Request or response head. Beyond: 431 to the client, 502 for an upstream."""

    head_fields: int = 128
    """Header fields in one head. Beyond: 431."""

    target_bytes: int = 8 * 1024
    """Request target. Beyond: 414."""

    body_bytes: int | None = None
    """Request body. Beyond: 413. None: no limit, bodies are streamed and never held."""

    replay_bytes: int = 64 * 1024
    """Body kept for a safe replay. Longer bodies are sent once."""

    head_seconds: float = 10.0
    """From the first byte of a head to its end. Beyond: 408. Stops slow-header attacks."""

    idle_seconds: float = 75.0
    """A kept-alive client connection without a request. Longer than load balancers' usual 60 s."""

    stall_seconds: float = 60.0
    """No byte either way in the middle of a message. Beyond: 408 for a request, cut off for an answer."""

    connect_seconds: float = 2.0
    """Connecting to an endpoint or to another cluster's gateway. Then the next one is tried, or 504."""

    first_byte_seconds: float = 60.0
    """From the request's end to the first byte of the answer. Then 504."""

    total_seconds: float = 3600.0
    """A whole exchange, except tunnels. Beyond: cut off."""

    linger_seconds: float = 5.0
    """How long a client that was answered for good may be quiet before its connection is closed. While it
    sends on, what it sends is dropped."""

    clients: int = 16384
    """Client connections of one process. Beyond: 503 and close."""

    memory_bytes: int | None = None
    """What the process may take. None: the limit of its container, or 1 GiB where there is none. Beyond what
    that leaves: 503 for what is new."""

    upstream_connections: int = 512
    """Connections to one endpoint. Beyond: requests queue."""

    upstream_idle: int = 512
    """Idle connections kept to one endpoint: as many as may be open. Fewer, and a steady load of more clients
    than that would open and close a connection for every request."""

    upstream_idle_seconds: float = 55.0
    """How long an idle one is kept: less than the 60 s after which common servers close theirs."""

    queue: int = 1024
    """Requests waiting for a connection to one endpoint. Beyond: the next endpoint, or 503."""

    attempts: int = 4
    """Endpoints tried for one request, the first included."""


def change_limits(limits: Limits, changes: Iterable[str]) -> Limits:
    """`limits` with `name=number` changes applied. ValueError says what is wrong with one."""
    known = {field.name for field in fields(Limits)}
    numbers: dict[str, Any] = {}
    for change in changes:
        name, _, text = change.partition("=")
        if name not in known:
            raise ValueError(
                f"{change!r} names no limit: give NAME=NUMBER, with a name of {', '.join(known)}"
            )
        try:
            number = float(text) if name.endswith("_seconds") else int(text)
        except ValueError as error:
            raise ValueError(f"{change!r}: {text!r} is not a number that {name} can be") from error
        if not 0 < number < float("inf"):
            raise ValueError(f"{change!r}: give a finite number greater than 0")
        numbers[name] = number
    return replace(limits, **numbers)
