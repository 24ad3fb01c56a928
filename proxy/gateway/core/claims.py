"""Whose a path is where one gateway serves the paths of many: in a cluster, and at the front door.

Claims are taken the oldest first, and the first has the path. A path inside a Prefix of another namespace is
a conflict as well, whichever of the two is older: the more specific path would take requests that were meant
for the other. Within a namespace paths nest as they like. The root, Prefix `/`, stands around everything and
gets what nobody claims; so it is in nobody's way.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from gateway.core.objects import Key
from gateway.core.paths import normalise
from gateway.core.route import normal_prefix

Match = tuple[bool, bytes]
"""Whether a path is exact, and its normal form: what no two rules of a cluster may share."""


def match_of(path: str, *, exact: bool) -> Match:
    """A path as claims are compared."""
    return exact, normalise(path.encode() if exact else normal_prefix(path))


@dataclass(frozen=True, slots=True)
class Grant:
    """A prefix that the control plane's settings delegate: nobody else gets a path at or inside it."""

    prefix: bytes
    """In normal form; empty for the root, which is itself alone."""
    namespaces: Collection[str]
    clusters: Collection[str] = ()
    """Cluster keys; empty: any."""

    def covers(self, namespace: str, cluster: str) -> bool:
        return namespace in self.namespaces and (not self.clusters or cluster in self.clusters)

    def __str__(self) -> str:
        where = f" in {', '.join(sorted(self.clusters))}" if self.clusters else ""
        return f"{self.prefix.decode() or '/'} is delegated to {', '.join(sorted(self.namespaces))}{where}"


class Claims:
    """Paths and their owners, services by namespace and name."""

    def __init__(self, grants: Iterable[Grant] = ()) -> None:
        self._grants = {grant.prefix: grant for grant in grants}
        self._granted = {len(prefix) for prefix in self._grants}
        self._lengths: set[int] = set()
        """Those that prefixes have: a path of many elements is not looked up at each of them."""
        self._owners: dict[Match, Key] = {}
        self._paths: list[bytes] = []
        """Sorted, so that those inside a prefix stand together."""
        self._paths_of: dict[str, list[bytes]] = {}
        """The same by namespace: of thousands inside each other none is looked at, they are counted."""
        self.losers: dict[Key, set[Key]] = {}
        """By owner: who claimed paths of it in vain."""

    def owner(self, match: Match) -> Key | None:
        return self._owners.get(match)

    def add(self, match: Match, owner: Key) -> None:
        """Give a path to its owner without asking who else claims what is around it."""
        exact, path = match
        insort(self._paths, path)
        insort(self._paths_of.setdefault(owner[0], []), path)
        if not exact:
            self._lengths.add(len(path))
        self._owners[match] = owner

    def take(self, match: Match, owner: Key) -> Key | None:
        """None when it is the owner's from now on. Otherwise whose it is, or what is in its way."""
        found = self._owners.get(match) or self._around(match, owner) or self._inside(match, owner)
        if found is None:
            self.add(match, owner)
        else:
            self.losers.setdefault(found, set()).add(owner)
        return found

    def refusal(self, path: bytes, namespace: str, cluster: str) -> str:
        """Why the settings do not let a namespace of a cluster have a path; empty when they do."""
        scope = self._scope(path)
        grant = self._grants.get(scope)
        if path and not scope:
            return ""
        if grant is None:
            return "/ is only whose the settings delegate it to (paths)"
        return "" if grant.covers(namespace, cluster) else str(grant)

    def _scope(self, path: bytes) -> bytes:
        """The longest delegated prefix a path is in: nothing nests across it, it was cut out on purpose."""
        return next((outer for outer in _outwards(path, self._granted) if outer in self._grants), b"")

    def _around(self, match: Match, owner: Key) -> Key | None:
        scope = self._scope(match[1])
        for outer in _outwards(match[1], self._lengths):
            if len(outer) < len(scope):
                break
            found = self._owners.get((False, outer))
            if found is not None and found[0] != owner[0]:
                return found
        return None

    def _inside(self, match: Match, owner: Key) -> Key | None:
        exact, path = match
        if exact or not path:
            return None
        for inner in self._inner(path, owner[0]):
            for kind in (False, True):
                found = self._owners.get((kind, inner))
                if found is not None and found[0] != owner[0] and self._scope(inner) == self._scope(path):
                    return found
        return None

    def _inner(self, path: bytes, namespace: str) -> Iterator[bytes]:
        """The path, and those inside it unless all of them are this namespace's."""
        yield path
        inside = _inside(self._paths, path)
        if len(inside) > len(_inside(self._paths_of.get(namespace, []), path)):
            yield from (self._paths[at] for at in inside)


def _inside(paths: list[bytes], path: bytes) -> range:
    """Where the paths inside a prefix stand among sorted ones."""
    return range(bisect_left(paths, path + b"/"), bisect_left(paths, path + b"0"))  # what comes behind `/`


def _outwards(path: bytes, lengths: Collection[int]) -> Iterator[bytes]:
    """The path and the prefixes by path element that it is in, of these lengths, the longest first.

    The root is none of them.
    """
    at = len(path)
    while at > 0:
        if at in lengths:
            yield path[:at]
        at = path.rfind(b"/", 0, at)
