"""What the garbage collector looks through, and how much is let go of at once: neither may hold up the loop.

A configuration of ten thousand services is some 350,000 objects. Looking through them takes the collector a
tenth of a second, and freeing them half of that; both stop every thread. They are trees, which need no
collector: when the last reference goes, they go. So what has been made is moved out of its sight, which costs
nothing, and what is let go of is let go of piece by piece, in a thread that others may interrupt.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from gateway.core.snapshot import Snapshot

STATES_AT_ONCE: Final = 250
"""States of routes that the collector may have to look through, with their endpoints: about a millisecond."""

FULL_AFTER: Final = 1000
"""Times something was moved out of sight, after which everything is looked through again: a cycle that was
alive at such a moment and is garbage by now is found by nothing else."""


class Settled:
    """How often objects were moved out of sight since everything was looked through."""

    times = 0


def settle() -> None:
    """Move what there is now out of the collector's sight: it stays, or goes when it is let go of."""
    Settled.times += 1
    if Settled.times >= FULL_AFTER:
        look_through()
    else:
        gc.freeze()


def look_through() -> None:
    """Collect all garbage there is, then move the rest out of sight. Stops every thread."""
    Settled.times = 0
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@contextmanager
def undisturbed() -> Iterator[None]:
    """While much is made that stays: the collector would start again and again."""
    gc.disable()
    try:
        yield
    finally:
        settle()
        gc.enable()


def let_go(held: list[Snapshot]) -> None:
    """Free snapshots that this list alone holds, in a thread: others have their turn between two pieces."""
    while held:
        free(pieces_of(held.pop()))


def pieces_of(snapshot: Snapshot) -> list[object]:
    """What a snapshot is made of, each of it small."""
    mappings: list[Mapping[Any, Any]] = [
        snapshot.hosts.services, snapshot.imported, snapshot.identities, snapshot.exported,
    ]  # fmt: skip
    for table in (snapshot.paths, *snapshot.published.values()):
        mappings += [table.exact, table.prefix]
    return [piece for one in mappings for pieces in (one, one.values()) for piece in pieces]


def free(pieces: list[object]) -> None:
    """Free what this list alone holds, in a thread likewise."""
    while pieces:
        pieces.pop()
