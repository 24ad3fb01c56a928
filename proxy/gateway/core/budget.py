"""The memory a process may take, and its shares: one budget, derived from the container's limit.

Shares are fixed at the start, so that no flood of one sort takes what another needs: traffic cannot push out
objects, objects cannot keep requests out.
"""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20

DEFAULT_LIMIT_BYTES = 1024 * MIB
"""Where neither a container nor an option sets a limit."""

LEAST_BYTES = 16 * MIB
"""Shared out in any case: with less a gateway is of no use, whatever its limit says."""

RESERVE = 6
"""One part in so many of the limit is nobody's: what the allocator takes beyond what is asked for, thread
stacks, a configuration in the making, what arrives within one turn of the loop."""

CACHE_BYTES = MIB
"""Rewritten targets (`rewrite.CACHE_BYTES`)."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Bytes by what they are for."""

    traffic: int
    """Connections, heads, and bodies on their way."""
    caches: int
    """What is kept only to save work."""
    objects: int
    """Objects of the API, with what is compiled from them."""

    @property
    def total(self) -> int:
        return self.traffic + self.caches + self.objects


def share_out(limit: int, held: int) -> Budget:
    """The budget of a process that may take `limit` bytes and takes `held` before there is any work."""
    total = max(limit - held - limit // RESERVE, LEAST_BYTES)
    objects = total // 2
    return Budget(total - CACHE_BYTES - objects, CACHE_BYTES, objects)


DEFAULT_BUDGET = share_out(DEFAULT_LIMIT_BYTES, 0)
