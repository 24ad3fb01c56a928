"""Bounds on handshakes with whoever has proved nothing so far: how many at once, how fast they come.

A handshake costs a gateway a millisecond and some 50 KiB before it knows who is there. Each that begins
takes one from what its source address may have, and gives it back when it is done: who fails has used it up,
and gets a few more as time goes by. A cluster's gateways, which prove who they are, are not held up by that,
unless who floods shares their address. Pure: who calls says what time it is.
"""

from __future__ import annotations

AT_ONCE = 512
"""Failed or unfinished handshakes of one source: as many as a gateway has connections to one endpoint, which
all may be made again at once."""
PER_SECOND = 20.0
"""More of them, as time goes by: a fiftieth of one CPU."""
ALL_AT_ONCE, ALL_PER_SECOND = 2048, 100.0
"""The same of all sources together that have proved nothing so far."""
MOST_SOURCES = 4096
"""Sources that are told apart."""
MEMORY_PART = 4
"""Handshakes under way take this part of the traffic's memory at most."""
LEAST_UNDER_WAY = 64


class Allowance:
    """What one source, or all, may begin. `left` counts down; it fills up again with time."""

    __slots__ = ("at", "left", "most", "per_second", "proved")

    def __init__(self, most: float, per_second: float, now: float) -> None:
        self.most = self.left = most
        self.per_second = per_second
        self.at = now
        self.proved = False
        """Somebody there has proved who they are."""

    def fill(self, now: float) -> None:
        self.left = min(self.left + (now - self.at) * self.per_second, self.most)
        self.at = now

    def give_back(self) -> None:
        self.left = min(self.left + 1, self.most)


class Strangers:
    """Those of one process."""

    def __init__(self, memory: int, cost: int) -> None:
        """`memory`: bytes of all traffic; `cost`: of one connection in the handshake."""
        self.most_under_way = max(memory // MEMORY_PART // cost, LEAST_UNDER_WAY)
        self.under_way = 0
        self.at_once, self.per_second = float(AT_ONCE), PER_SECOND
        self._all = Allowance(ALL_AT_ONCE, ALL_PER_SECOND, 0.0)
        self._sources: dict[bytes, Allowance] = {}

    def begin(self, source: bytes, now: float) -> bool:
        """Whether a handshake with this address may begin; each that does is ended by `end`."""
        if self.under_way >= self.most_under_way:
            return False
        found, everybody = self._allowance(_network(source), now), self._all
        found.fill(now)
        everybody.fill(now)
        if found.left < 1 or (everybody.left < 1 and not found.proved):
            return False
        found.left -= 1
        everybody.left = max(everybody.left - 1, 0)
        self.under_way += 1
        return True

    def end(self, source: bytes, now: float, *, proved: bool) -> None:
        """A handshake is over."""
        self.under_way -= 1
        if proved:
            found = self._allowance(_network(source), now)
            found.proved = True
            found.give_back()
            self._all.give_back()

    def _allowance(self, source: bytes, now: float) -> Allowance:
        found = self._sources.get(source)
        if found is None:
            if len(self._sources) >= MOST_SOURCES:
                # Who has as many addresses is held by what all may begin.
                self._sources = {key: one for key, one in self._sources.items() if one.proved}
            if len(self._sources) >= MOST_SOURCES:
                self._sources.clear()
            found = self._sources[source] = Allowance(self.at_once, self.per_second, now)
        return found


def _network(source: bytes) -> bytes:
    """An address of IPv4, or the first half of one of IPv6: of the other half anybody has any number."""
    return b":".join(source.split(b":")[:4]) if source.count(b":") > 1 else source
