"""The file of the peers' keys, which the gateways of all clusters share to know each other's requests."""

from __future__ import annotations

import re
from base64 import b64decode
from pathlib import Path

from gateway.core.identity import NO_KEYS, PeersKeys

LEAST_BYTES = 32
"""Of a key: as many as SHA-256 makes of it."""
MOST_KEYS = 8
"""A rotation needs two; every key more is work for every service at every change."""
HEXADECIMAL = re.compile(r"(?:[0-9A-Fa-f]{2})+")
HINT = "give one key per line, at least 32 random bytes as hex or base64, as `openssl rand -hex 32` prints"


Stamp = tuple[int, int, int]
"""Time of change, size and number of a file."""


class PeersFileError(ValueError):
    """A file that holds no keys. The message names it, the reason and what to do, and never a key."""


def read_keys(path: Path | None) -> PeersKeys:
    """The keys in a file, the first to sign with; none without a file. PeersFileError names what is wrong."""
    if path is None:
        return NO_KEYS
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError as error:
        raise PeersFileError(f"peers' key file {path}: {error.strerror}: {HINT}") from error
    except UnicodeDecodeError as error:
        raise PeersFileError(f"peers' key file {path}: it is not text: {HINT}") from error
    keys = [_key(path, number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    if not 1 <= len(keys) <= MOST_KEYS:
        raise PeersFileError(
            f"peers' key file {path}: it has {len(keys)} keys, 1 to {MOST_KEYS} work: {HINT}"
        )
    return PeersKeys(tuple(keys))


def _key(path: Path, number: int, text: str) -> bytes:
    where = f"peers' key file {path}, line {number}"
    try:
        key = bytes.fromhex(text) if HEXADECIMAL.fullmatch(text) else b64decode(text, validate=True)
    except ValueError as error:
        raise PeersFileError(f"{where}: it is neither hex nor base64: {HINT}") from error
    if len(key) < LEAST_BYTES:
        raise PeersFileError(f"{where}: it has {len(key)} bytes: {HINT}")
    return key


def stamp(path: Path | None) -> Stamp:
    """What changes when the file does: a mounted Secret is exchanged by a link. Zeros while there is none."""
    try:
        found = None if path is None else path.stat()
    except OSError:
        found = None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found is not None else (0, 0, 0)
