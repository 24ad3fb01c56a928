"""Path rewriting of exports: every match of a regular expression over path and query is replaced.

Patterns run on RE2, where one search is linear in the target times the pattern. A search follows each match,
so a rewrite has a number of steps (MAX_STEPS), and no pattern and no request can stall the gateway. What RE2
does not know (look-around, back-references) is refused when the export is read. Bytes are matched as
Latin-1: a target is ASCII on the wire and must come back byte for byte.
"""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar

import re2

from gateway.core.errors import ProtocolError
from gateway.core.paths import check_made

MAX_PATTERN = 1024
MAX_PROGRAM_BYTES = 32 << 10
"""Memory RE2 may use for one pattern, with what it remembers of searches; larger ones are refused, not run. A
pattern for paths takes 3 KiB."""
SIMPLE_BYTES = 4 << 10
"""Counted for a pattern in which little repeats or stands for many characters."""
WIDE = "{*+.[\\"
"""They begin what repeats or stands for many characters; enough of it takes all the memory RE2 may use."""

MAX_RESULT_BYTES = 8 * 1024
"""Longest rewritten target, as long as a client's own may be. A pattern that matches every character and a
long replacement would else make megabytes of a short request."""

MAX_STEPS = 4_000_000
"""Bytes still to search times the pattern's instructions, added up over all searches of one target: 60 ms at
the very worst. `(a?){500}b|a` would else take hours for a long target. One match in the longest target has
room for a pattern of 500 instructions, and few have 50."""

CACHE_BYTES = 1024 * 1024
"""Rewritten targets that all rewrites of the process keep together. Calls repeat a small set; dropped when
full."""
ENTRY_BYTES = 256
"""Counted for each on top of its two targets."""

PATTERNS_BYTES = 16 << 20
"""Compiled rewrites that are kept for the next snapshot; some four thousand."""

REPLACEMENT = re.compile(r"[\x21\x22\x24-\x7e]*")
"""Characters a request target can have. A space or a line end would end the request line, `#` the path."""

K = TypeVar("K")
V = TypeVar("V")
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


class Cache(Generic[K, V]):
    """What can be made again, `most` bytes of it: a full one starts again empty."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.size = 0
        self.found: dict[K, V] = {}

    def _keep(self, key: K, value: V, size: int) -> None:
        if self.size + size > self.most:
            self.found.clear()
            self.size = 0
        self.size += size
        self.found[key] = value


class TargetCache(Cache[tuple["Rewrite", bytes], bytes]):
    """Rewritten targets by rewrite and target."""

    def __init__(self, most: int = CACHE_BYTES) -> None:
        super().__init__(most)

    def keep(self, rewrite: Rewrite, target: bytes, found: bytes) -> None:
        self._keep((rewrite, target), found, len(target) + len(found) + ENTRY_BYTES)


TARGETS = TargetCache()


def memory_of(source: str) -> int:
    """Bytes that a pattern may come to take, compiled and used."""
    simple = len(source) <= 256 and sum(map(source.count, WIDE)) <= 8
    return SIMPLE_BYTES if simple else MAX_PROGRAM_BYTES


def compile_pattern(source: str) -> Any:
    """An RE2 pattern over bytes, within its memory. RewriteError when `source` is none."""
    if len(source) > MAX_PATTERN:
        raise RewriteError(f"pattern longer than {MAX_PATTERN} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_PROGRAM_BYTES
    options.encoding = re2.Options.Encoding.LATIN1
    try:
        return re2.compile(source.encode("latin-1"), options)
    except re2.error as error:
        detail = error.args[0].decode("latin-1") if error.args else "unknown"
        raise RewriteError(f"{source!r} is not a pattern RE2 accepts: {detail}") from error
    except UnicodeEncodeError as error:
        raise RewriteError(f"{source!r} has characters no request target can have") from error


class Rewrite:
    """One compiled rewrite. Equal when pattern and replacement are."""

    __slots__ = ("_hash", "_pattern", "_pieces", "source", "to")

    def __init__(self, source: str, to: str) -> None:
        """RewriteError when `source` is no RE2 pattern, or `to` names a group it lacks or has a character
        that no request target can have."""
        self.source = source
        self.to = to
        if REPLACEMENT.fullmatch(to) is None:
            raise RewriteError(
                f"{to!r} has a character that no request target can have: write spaces, # and characters "
                "outside ASCII as %20, %23 and so on"
            )
        self._pattern: Any = compile_pattern(source)
        self._pieces = parse_replacement(to)
        highest = max((piece for piece in self._pieces if isinstance(piece, int)), default=0)
        if highest > self._pattern.groups:
            raise RewriteError(f"{to!r} uses group ${highest}, {source!r} has {self._pattern.groups}")
        self._hash = hash((source, to))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rewrite) and (self.source, self.to) == (other.source, other.to)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Rewrite({self.source!r}, {self.to!r})"

    def apply(self, target: bytes) -> bytes:
        """The rewritten request target, which may lack its first `/`.

        ProtocolError when it is too long, takes too many steps, or has dot segments: `/static(.*)` to
        `/files/$1` makes some of `/static../secret`.
        """
        found = TARGETS.found.get((self, target))
        if found is None:
            found = self._rewritten(target)
            TARGETS.keep(self, target, found)
        return found

    def _rewritten(self, target: bytes) -> bytes:
        left = MAX_RESULT_BYTES
        bytes_left = MAX_STEPS // self._pattern.programsize - len(target)

        def expand(match: Any) -> bytes:
            nonlocal left, bytes_left
            bytes_left -= len(target) - match.end()
            if bytes_left < 0:  # before the next search
                raise too_slow
            made = b"".join([
                piece if isinstance(piece, bytes) else (match.group(piece) or b"") for piece in self._pieces
            ])  # fmt: skip
            left -= len(made)
            if left < 0:  # before the rest is made
                raise too_long
            return made

        too_long = ProtocolError(f"rewritten request target longer than {MAX_RESULT_BYTES} bytes", 414)
        too_slow = ProtocolError(f"request target too long for the rewrite of {self.source!r}", 414)
        if bytes_left < 0:
            raise too_slow
        found: bytes = self._pattern.sub(expand, target)
        if len(found) > MAX_RESULT_BYTES:
            raise too_long
        check_made(found)
        return found


class PatternCache(Cache[tuple[str, str], Rewrite]):
    """Compiled rewrites, by what they were made of.

    Compiling is a good part of the cost of a snapshot, and patterns seldom change. Who changes his often has
    all of them compiled again, and no more memory.
    """

    def __init__(self, most: int = PATTERNS_BYTES) -> None:
        super().__init__(most)

    def get(self, source: str, to: str) -> Rewrite:
        """RewriteError as making it has it."""
        found = self.found.get((source, to))
        if found is None:
            found = Rewrite(source, to)
            self._keep((source, to), found, memory_of(source) + len(to))
        return found


PATTERNS = PatternCache()
