"""The twins that join a line's pieces: both give the same line, whatever a client sent."""

from __future__ import annotations

from proxy.native import native_join

from gateway.core.pieces import MOST_PIECES, reference


def joined(data: bytes) -> None:
    """Pieces between 0xff, by turns as bytes, as text where it is ASCII, as a number where it has 64 bits."""
    pieces = [_piece(number, piece) for number, piece in enumerate(data.split(b"\xff")[:MOST_PIECES])]
    assert native_join()(*pieces) == reference(*pieces), pieces


def _piece(number: int, data: bytes) -> str | bytes | int:
    if number % 3 == 1 and data.isascii():
        return data.decode("ascii")
    if number % 3 == 2 and len(data) <= 8:
        return int.from_bytes(data, signed=True)
    return data
