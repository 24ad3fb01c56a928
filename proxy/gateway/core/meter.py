"""How much of the traffic's share is held, and who loses when it is not enough.

What connections hold is counted now and then, not at every read: between two counts it cannot grow by more
than what came in. So `came` is all that reading costs, and a count is due when a quarter of what was free may
be used up. When all may be at half of the share before it could be counted, everybody stops reading at once,
in the middle of a turn of the loop in which hundreds may be about to read; then some go on after each count.

Memory is short from three quarters of the share on: new connections, unfinished heads and requests that bring
much are refused, bodies are not kept for a replay, and of what a client does not read less is kept. Above the
share those who hold most are cut, of the source that holds most; who holds little goes on. When that does not
help, because many hold little, new requests are refused too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from typing import Final

from gateway.core.limits import WRITE_HIGH_BYTES, WRITE_SHORT_BYTES

CONNECTION_BYTES: Final = 3 * 1024
"""A connection to a client or an endpoint, with its transport and what is known of its peer."""

TLS_BYTES: Final = 48 * 1024
"""What TLS takes on top of that: OpenSSL's state, and one record each way."""

EXCHANGE_BYTES: Final = 5 * 1024
"""A request under way, with a head of usual length."""

READ_BYTES: Final = 256 * 1024
"""The most that one read brings."""

SMALL_BYTES: Final = 32 * 1024
"""Who holds no more than this is not cut."""


class Meter:
    """The traffic's share of one process; `limit` in bytes."""

    __slots__ = (
        "bodies", "came", "connections", "cut", "due", "full", "heads", "holding", "limit", "on_due",
        "on_hold", "over", "slack", "upstreams", "waiting",
    )  # fmt: skip

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.heads = self.bodies = self.connections = 0
        """Held at the last count: unfinished heads, bytes on their way, fixed costs of connections."""
        self.came = 0
        """Came in since."""
        self.slack = limit // 4
        """May come in before the next count."""
        self.due = False
        """A count has been asked for."""
        self.holding = False
        """Nobody reads until it has been counted."""
        self.upstreams = 0
        """Connections to endpoints that are open now."""
        self.cut = 0
        """Clients that have lost their connection or answer, ever."""
        self.full = False
        """Memory is short: nothing new is begun."""
        self.over = False
        """Even those who hold little hold too much together: no request is begun."""
        self.waiting: deque[Callable[[], None]] = deque()
        """To be called when it has been counted, by those who have stopped reading until then."""
        self.on_due: Callable[[], None] = _nobody
        self.on_hold: Callable[[], None] = _nobody

    @property
    def held(self) -> int:
        return self.heads + self.bodies + self.connections

    @property
    def write_high(self) -> int:
        """Unsent bytes towards a peer at which the other side is no longer read."""
        return (
            WRITE_SHORT_BYTES
            if self.full
            else min(max(self.limit // 512, WRITE_SHORT_BYTES), WRITE_HIGH_BYTES)
        )

    @property
    def crowded(self) -> bool:
        """There is no room even for telling new clients that there is none."""
        return self.full and (self.held + self.came) * 8 > self.limit * 7

    def refuses(self, body: int, extra: int) -> bool:
        """Whether a request is not to be begun, by the length of its body (below 0: unknown) and what it
        holds beyond what requests usually do."""
        return self.over or (self.full and (extra > 0 or not 0 <= body <= SMALL_BYTES))

    def ask(self) -> None:
        """Have it counted, once this turn of the loop is over and what was written is on its way."""
        if not self.due:
            self.due = True
            self.on_due()
        if not self.holding and self.held + self.came > self.limit // 2:
            self.holding = True
            self.on_hold()

    def counted(self, heads: int, bodies: int, connections: int) -> bool:
        """Take a count; whether memory has become short, or is so no more."""
        self.heads, self.bodies, self.connections = heads, bodies, connections
        held = self.held
        self.came = 0
        self.due = False
        self.slack = max((self.limit - held) // 4, self.limit // 32)
        was = self.full
        self.full = held * 8 > self.limit * (5 if was else 6)
        return was != self.full

    def released(self) -> list[Callable[[], None]]:
        """Those who may read again now, as many as there is room for; none while a count is due.

        The others, if there are, in the next turn of the loop.
        """
        count = 0 if self.due else min(max((self.slack - self.came) // READ_BYTES, 1), len(self.waiting))
        released = [self.waiting.popleft() for _ in range(count)]
        self.holding = bool(self.waiting)
        return released

    def excess(self) -> int:
        """Bytes beyond the share."""
        return max(self.held - self.limit, 0)


def losers(holders: Sequence[tuple[bytes, int]], excess: int) -> list[int]:
    """Which of the holders, given by source and bytes, to cut: positions, until `excess` is made up for.

    The largest first, of the source that holds most at that moment. None that holds little.
    """
    by_source: dict[bytes, list[int]] = {}
    for number in sorted(range(len(holders)), key=lambda one: holders[one][1]):
        if holders[number][1] > SMALL_BYTES:
            by_source.setdefault(holders[number][0], []).append(number)
    heap = [(-sum(holders[one][1] for one in held), source) for source, held in by_source.items()]
    heapify(heap)
    found: list[int] = []
    while heap and excess > 0:
        total, source = heappop(heap)
        number = by_source[source].pop()
        found.append(number)
        excess -= holders[number][1]
        if by_source[source]:
            heappush(heap, (total + holders[number][1], source))
    return found


def _nobody() -> None:
    """Nobody counts: as long as nothing is served."""
