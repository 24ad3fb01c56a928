"""The capacity for objects: how many bytes of them a process keeps, and what is left out when it is used up.

What is known stays. A new object, or a change that makes one larger, is taken only where there is room for
it; no namespace gets more than half, so that what one tenant stores keeps nobody else's objects out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from gateway.core.budget import Budget
from gateway.core.header_match import memory_of_matches
from gateway.core.objects import Key, Object, meta, section, spec_of
from gateway.core.rewrite import memory_of

FIXED_WEIGHT = 256
"""Bytes that any object costs."""
MEMORY_PER_BYTE = 5
"""Memory that a byte of an object's text takes, with what is compiled from it."""
MOST_LEFT_OUT = 2_000
"""Objects that are remembered by name, of each kind."""
MOST_REFUSED = 20_000
"""Objects there is no room for in one list, which is then not read to its end."""
MOST_NAMES_BYTES = 4096
"""Kept of an object that is left out."""


class Capacity:
    """At most `most` bytes of text, of the informers that share it."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.of_namespace = most // 2
        self.used = 0
        self.reading = asyncio.Lock()
        """Held while a page is read that may be much larger than what is kept of it."""
        self._by_namespace: dict[str, int] = {}

    def resize(self, namespace: str, before: int, weight: int) -> bool:
        """Let something of that weight take the place of what weighed `before`. False: there is no room."""
        more = weight - before
        held = self._by_namespace.get(namespace, 0) + more
        if more > 0 and (self.used + more > self.most or (namespace and held > self.of_namespace)):
            return False
        self.used += more
        self._by_namespace[namespace] = held
        if not held:
            del self._by_namespace[namespace]
        return True


def capacity_of(budget: Budget) -> Capacity:
    """The room that a process's memory leaves for objects."""
    return Capacity(budget.objects // MEMORY_PER_BYTE)


class Kept:
    """The part of a capacity that one informer has: what weighs how much there, and what was left out."""

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._weights: dict[Key, int] = {}
        self.weight = 0
        self.left_out: dict[Key, Object] = {}
        """As much of them as says which they are."""

    def take(self, key: Key, obj: Object) -> bool:
        """Whether there is room for the object as it is now; if not it is left out."""
        before = self._weights.get(key, 0)
        weight = weigh(obj, self._capacity.most)
        if not self._capacity.resize(key[0], before, weight):
            if key in self.left_out or len(self.left_out) < MOST_LEFT_OUT:
                self.left_out[key] = _names(obj)
            return False
        self._weights[key] = weight
        self.weight += weight - before
        self.left_out.pop(key, None)
        return True

    def drop(self, key: Key) -> None:
        """The object is gone."""
        self.left_out.pop(key, None)
        weight = self._weights.pop(key, 0)
        self.weight -= weight
        self._capacity.resize(key[0], weight, 0)

    def keep_only(self, names: Mapping[Key, object]) -> None:
        """What was not listed is gone."""
        for key in [key for key in (*self._weights, *self.left_out) if key not in names]:
            self.drop(key)

    def says(self, what: str) -> str:
        """Why something was left out."""
        namespace, name = next(iter(self.left_out))
        return (
            f"some {what} are left out, {namespace}/{name} for one: no more than {self._capacity.most} bytes "
            f"are kept, and {self._capacity.of_namespace} of a namespace"
        )


def weigh(obj: Object, most: int) -> int:
    """About how many bytes of text an object is. More than there is room for when it nests too deep.

    A compiled pattern may take a thousand times what its text does: it counts as so much more text.
    """
    try:
        text = FIXED_WEIGHT + len(repr(obj))
    except RecursionError:
        return most + 1
    source = section(spec_of(obj), "pathRewrite").get("from")
    patterns = memory_of_matches(obj) + (memory_of(source) if isinstance(source, str) else 0)
    return text + patterns // MEMORY_PER_BYTE


def _names(obj: Object) -> Object:
    """What a condition needs to be written."""
    kept = {name: obj[name] for name in ("apiVersion", "kind", "metadata", "status") if name in obj}
    if weigh(kept, MOST_NAMES_BYTES) > MOST_NAMES_BYTES:
        metadata = {name: meta(obj).get(name) for name in ("name", "namespace", "uid", "generation")}
        kept = {"apiVersion": obj.get("apiVersion"), "kind": obj.get("kind"), "metadata": metadata}
    return kept
