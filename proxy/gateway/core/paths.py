"""Request paths in one spelling (RFC 3986 6.2.2), so that a rule cannot be walked around by another one."""

from __future__ import annotations

import re

from gateway.core.errors import ProtocolError

ODD = re.compile(rb"[%\\\x80-\xff]|/\.")
"""What a path must hold to have another spelling. Most have nothing of it."""

ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})|[\x80-\xff]")
OUTSIDE = re.compile(rb"[\x80-\xff]")
BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
HIDDEN_SLASH = re.compile(rb"%2F|%5C|\\")
"""What some servers take for a slash, and others for a character of a name."""

DOT_SEGMENTS = frozenset((b".", b".."))
PARAMETERS = re.compile(rb"/\.\.?(?:;|%3B)")
"""Dot segments with parameters: servlet containers cut these off, and then climb."""


def _dotted(path: bytes) -> bool:
    return not DOT_SEGMENTS.isdisjoint(path.split(b"/"))


def _climbs(path: bytes) -> bool:
    """Whether some server takes a segment of a normal path for a dot segment."""
    plain = HIDDEN_SLASH.sub(b"/", path)
    return _dotted(plain) or PARAMETERS.search(plain) is not None


def _normal_escape(match: re.Match[bytes]) -> bytes:
    code = match[0][0] if match[1] is None else int(match[1], 16)
    return b"%c" % code if code in UNRESERVED else b"%%%02X" % code


def escape(text: bytes) -> bytes:
    """Text with what is outside ASCII escaped: clients send it raw, no request line may hold it."""
    return OUTSIDE.sub(lambda match: b"%%%02X" % match[0][0], text)


def normalise(path: bytes) -> bytes:
    """A path with escapes in capitals, unreserved characters plain and others outside ASCII escaped. A `%`
    that begins no escape stays."""
    return ESCAPE.sub(_normal_escape, path)


def is_reachable(path: bytes) -> bool:
    """Whether a request can have this path: it has no dot segments, and each `%` begins an escape."""
    return BROKEN_ESCAPE.search(path) is None and not _climbs(normalise(path))


def check_made(target: bytes) -> None:
    """ProtocolError for a target that was made of a client's and has dot segments, which that had not."""
    path = b"/" + target.partition(b"?")[0]
    if ODD.search(path) is not None and _climbs(normalise(path)):
        raise ProtocolError("rewritten request target with dot segments")


def resolve(path: bytes) -> bytes:
    """A normal path without `.` and `..` segments (RFC 3986 5.2.4): none climbs above the root.

    ProtocolError when servers would read it differently: dot segments beside a hidden slash, or with
    parameters.
    """
    if not _climbs(path):
        return path
    if PARAMETERS.search(HIDDEN_SLASH.sub(b"/", path)) is not None:
        raise ProtocolError("path with dot segments that have parameters")
    segments = path.split(b"/")
    for segment in segments:
        parts = HIDDEN_SLASH.split(segment)
        if len(parts) > 1 and _dotted(b"/".join(parts)):
            raise ProtocolError("path with dot segments beside an encoded slash or a backslash")
    kept: list[bytes] = []
    for segment in segments[1:]:
        if segment == b"..":
            if kept:
                kept.pop()
        elif segment != b".":
            kept.append(segment)
    if segments[-1] in DOT_SEGMENTS:
        kept.append(b"")
    return b"/" + b"/".join(kept)
