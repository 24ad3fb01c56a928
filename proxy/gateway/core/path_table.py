"""The table of paths by which requests are matched to routes north-south.

An Exact hit first, then the longest Prefix by path element. All look-ups are in dictionaries: the number of
routes costs nothing per request.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.core.route import Route


class PathTable:
    """Path rules of one listener."""

    __slots__ = ("exact", "longest", "prefix")

    def __init__(
        self, exact: dict[bytes, Route] | None = None, prefix: dict[bytes, Route] | None = None
    ) -> None:
        self.exact = exact or {}
        self.prefix = prefix or {}
        """By prefix without `/` at its end; `/` itself is the empty key."""
        self.longest = max(map(len, self.prefix), default=0)
        """Length of the longest prefix: a deep path costs no more look-ups than the rules are deep."""

    def find(self, target: bytes) -> Route | None:
        """The route of a request target in origin form; the query is ignored."""
        query = target.find(b"?")
        path = target if query < 0 else target[:query]
        if self.exact:
            route = self.exact.get(path)
            if route is not None:
                return route
        if not path.startswith(b"/"):
            return None
        prefixes = self.prefix
        if len(path) > self.longest:
            path = path[: path.rfind(b"/", 0, self.longest + 1)]
        while path:
            route = prefixes.get(path)
            if route is not None:
                return route
            path = path[: path.rfind(b"/")]
        return prefixes.get(b"")


def path_table(rules: Mapping[tuple[bool, bytes], Route]) -> PathTable:
    """The table of rules by whether they are exact and their normal path."""
    prefixes = {path: route for (exact, path), route in rules.items() if not exact}
    exact = {path: route for (exact, path), route in rules.items() if exact}
    return PathTable(exact, prefixes)
