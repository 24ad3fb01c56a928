"""Header matches: which requests go to a certain target first. Words and meaning are those of Gateway API.

A match names up to sixteen fields, and a request has to have all of them. Names are compared without case,
values byte for byte, or by an RE2 pattern that stands for the whole value. Fields that a request repeats
count as one with commas between (RFC 9110 section 5.3).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.core.fields import FieldError
from gateway.core.json_annotation import only, read_json, shown
from gateway.core.objects import Object
from gateway.core.rewrite import Cache, RewriteError, compile_pattern, memory_of

MATCH = "multicluster.flomesh.io/match"
"""Annotation of a policy: a JSON mapping from the cluster keys of targets to the match of each. Ours: the
schema has no field."""
BACKEND_REFS = "multicluster.flomesh.io/backend-refs"
"""Annotation of an export: the Services of its namespace that share its requests, as a JSON list."""

EXACT = "Exact"
REGULAR = "RegularExpression"
NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}")
VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,1022}[\x21-\x7e])?")
"""What a field's value can be once the spaces around it are gone; other bytes than ASCII need a pattern."""
MOST_HEADERS = 16
"""Of one match."""
LONGEST_VALUE = 1024
"""Of a request's value that a pattern is tried on. Longer ones match none, so that no request is work."""
PATTERNS_BYTES = 4 << 20
"""Compiled patterns that are kept for the next snapshot."""
ENTRY = frozenset(("name", "value", "type"))


class HeaderPattern:
    """One compiled pattern. Equal when its source is."""

    __slots__ = ("_pattern", "source")

    def __init__(self, source: str) -> None:
        """RewriteError when RE2 does not take it."""
        self.source = source
        self._pattern: Any = compile_pattern(source)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HeaderPattern) and self.source == other.source

    def __hash__(self) -> int:
        return hash(self.source)

    def takes(self, value: bytes) -> bool:
        """Whether the whole value is what the pattern stands for."""
        return len(value) <= LONGEST_VALUE and self._pattern.fullmatch(value) is not None


class HeaderPatterns(Cache[str, HeaderPattern]):
    """Compiled patterns by their source, so that a snapshot does not compile what the last one had."""

    def get(self, source: str) -> HeaderPattern:
        """RewriteError as making it has it."""
        found = self.found.get(source)
        if found is None:
            found = HeaderPattern(source)
            self._keep(source, found, memory_of(source))
        return found


PATTERNS = HeaderPatterns(PATTERNS_BYTES)


@dataclass(frozen=True, slots=True)
class Header:
    """One field that a request must have."""

    name: str
    """As it was written; it is compared in lower case."""
    value: str
    pattern: HeaderPattern | None = None
    """None for an exact value."""
    key: bytes = field(default=b"", repr=False)
    """The name as requests are asked for it."""

    def takes(self, fields: Mapping[bytes, bytes]) -> bool:
        """Whether a request with these fields, by lower-case name, has it."""
        value = fields.get(self.key)
        if value is None:
            return False
        return value == self.value.encode() if self.pattern is None else self.pattern.takes(value)

    def __str__(self) -> str:
        return f"{self.name}: {self.value}" if self.pattern is None else f"{self.name} ~ {self.value}"


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests go to a target first: those that have all of these."""

    headers: tuple[Header, ...]

    def takes(self, fields: Mapping[bytes, bytes]) -> bool:
        return all(header.takes(fields) for header in self.headers)

    def __str__(self) -> str:
        return ", ".join(map(str, self.headers))


def read_match(raw: Any, where: str) -> Match | None:
    """A match, None where there is none. FieldError when no request could be told by it."""
    if raw is None:
        return None
    listed = only(raw, frozenset(("headers",)), where, "InvalidMatch").get("headers")
    if not isinstance(listed, list) or not 1 <= len(listed) <= MOST_HEADERS:
        message = f"{where}.headers is {shown(listed)}: give a list of 1 to {MOST_HEADERS} headers"
        raise FieldError("InvalidMatch", message)
    headers = tuple(_header(one, f"{where}.headers[{index}]") for index, one in enumerate(listed))
    if len({header.key for header in headers}) < len(headers):
        message = f"{where}.headers names one header twice: a pattern can stand for several values"
        raise FieldError("InvalidMatch", message)
    return Match(headers)


def _header(raw: Any, where: str) -> Header:
    entry = only(raw, ENTRY, where, "InvalidMatch")
    name, value, kind = entry.get("name"), entry.get("value"), entry.get("type", EXACT)
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        raise FieldError("InvalidMatch", f"{where}.name is {shown(name)}: give the name of a header")
    if kind not in (EXACT, REGULAR):  # not a set: any JSON value may stand there
        raise FieldError("InvalidMatch", f"{where}.type is {shown(kind)}: give {EXACT} or {REGULAR}")
    if not isinstance(value, str) or VALUE.fullmatch(value) is None:
        message = (
            f"{where}.value is {shown(value)}: give 1 to {LONGEST_VALUE} characters of printable ASCII, no "
            "space at either end"
        )
        raise FieldError("InvalidMatch", message)
    try:
        pattern = PATTERNS.get(value) if kind == REGULAR else None
    except RewriteError as error:
        raise FieldError("InvalidMatch", f"{where}.value: {error}") from error
    return Header(name, value, pattern, name.lower().encode())


def memory_of_matches(raw: Object) -> int:
    """Bytes that the patterns in an object's annotations may come to take, whatever else is wrong there."""
    total = 0
    for name in (MATCH, BACKEND_REFS):
        try:
            left = [read_json(raw, name, "")]
        except FieldError:
            continue  # nothing of it is compiled
        while left:
            found = left.pop()
            if isinstance(found, list):
                left.extend(found)
            elif isinstance(found, dict):
                if found.get("type") == REGULAR and isinstance(found.get("value"), str):
                    total += memory_of(found["value"])
                left.extend(found.values())
    return total
