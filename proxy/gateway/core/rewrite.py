"""Path rewriting of exports: every match of a regular expression over path and query is replaced.

Patterns run on RE2, in time linear in the target, so no pattern and no request can stall the gateway. What
RE2 does not know (look-around, back-references) is refused when the export is read. Bytes are matched as
Latin-1: a target is ASCII on the wire and must come back byte for byte.
"""

from __future__ import annotations

from typing import Any

import re2

MAX_PATTERN = 1024
MAX_PROGRAM_BYTES = 1 << 20
"""Memory RE2 may use for one pattern; larger ones are refused, not run."""

CACHED = 512
"""Targets remembered per rewrite. Calls repeat a small set of targets; the cache is dropped when full."""

Piece = bytes | int
"""Literal text, or the number of a group (0: the whole match)."""


class RewriteError(ValueError):
    """A pattern or replacement that cannot be used; the message says why."""


def parse_replacement(text: str) -> tuple[Piece, ...]:
    """ECMAScript replacement: `$1`..`$99`, `$&`, `$$`; any other `$` is itself."""
    pieces: list[Piece] = []
    literal = bytearray()
    at = 0
    raw = text.encode("latin-1")
    while at < len(raw):
        here = raw[at : at + 1]
        following = raw[at + 1 : at + 2]
        if (here == b"$" and following in {b"$", b"&"}) or (here == b"$" and following.isdigit()):
            at += 2
            if following == b"$":
                literal += b"$"
                continue
            number = 0
            if following.isdigit():
                number = int(following)
                if raw[at : at + 1].isdigit():
                    number = number * 10 + int(raw[at : at + 1])
                    at += 1
            if literal:
                pieces.append(bytes(literal))
                literal.clear()
            pieces.append(number)
        else:
            literal += here
            at += 1
    if literal:
        pieces.append(bytes(literal))
    return tuple(pieces)


class Rewrite:
    """One compiled rewrite. Equal when pattern and replacement are."""

    __slots__ = ("_cache", "_pattern", "_pieces", "source", "to")

    def __init__(self, source: str, to: str) -> None:
        """RewriteError when `source` is no RE2 pattern, `to` names a group it lacks, or either is not
        Latin-1."""
        self.source = source
        self.to = to
        if len(source) > MAX_PATTERN:
            raise RewriteError(f"pattern longer than {MAX_PATTERN} characters")
        options = re2.Options()
        options.log_errors = False
        options.max_mem = MAX_PROGRAM_BYTES
        options.encoding = re2.Options.Encoding.LATIN1
        try:
            self._pattern: Any = re2.compile(source.encode("latin-1"), options)
            self._pieces = parse_replacement(to)
        except re2.error as error:
            detail = error.args[0].decode("latin-1") if error.args else "unknown"
            raise RewriteError(f"{source!r} is not a pattern RE2 accepts: {detail}") from error
        except UnicodeEncodeError as error:
            raise RewriteError(f"{source!r} or {to!r} has characters no request target can have") from error
        highest = max((piece for piece in self._pieces if isinstance(piece, int)), default=0)
        if highest > self._pattern.groups:
            raise RewriteError(f"{to!r} uses group ${highest}, {source!r} has {self._pattern.groups}")
        self._cache: dict[bytes, bytes] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rewrite) and (self.source, self.to) == (other.source, other.to)

    def __hash__(self) -> int:
        return hash((self.source, self.to))

    def __repr__(self) -> str:
        return f"Rewrite({self.source!r}, {self.to!r})"

    def apply(self, target: bytes) -> bytes:
        """The rewritten request target. May be something that is no target at all: the caller checks."""
        found = self._cache.get(target)
        if found is None:
            found = self._pattern.sub(self._expand, target)
            if len(self._cache) >= CACHED:
                self._cache.clear()
            self._cache[target] = found
        return found

    def _expand(self, match: Any) -> bytes:
        return b"".join([
            piece if isinstance(piece, bytes) else (match.group(piece) or b"") for piece in self._pieces
        ])  # fmt: skip
