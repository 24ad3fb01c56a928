"""A line of JSON out of its pieces, without a text made of each: a line has some thirty.

The native twin, `_pieces.c`, is built where the gateway is compiled, and gives the same for everything.
"""

from __future__ import annotations

from collections.abc import Callable
from json.encoder import encode_basestring_ascii
from typing import Final

MOST_PIECES: Final = 32
"""Of one line; as `_pieces.c` has it."""

NUMBERS: Final = range(-(2**63), 2**63)


def reference(*pieces: str | bytes | int) -> bytes:
    """The pieces as one line of ASCII.

    Text is taken as it is: it is JSON already. Bytes are the inside of a string: what may not stand there is
    escaped, and what is beyond ASCII is taken for Latin-1. ValueError for text beyond ASCII and for too many
    pieces, OverflowError for numbers beyond 64 bits.
    """
    if len(pieces) > MOST_PIECES:
        raise ValueError(f"more than {MOST_PIECES} pieces")
    return b"".join(map(_piece, pieces))


def _piece(piece: str | bytes | int) -> bytes:
    if isinstance(piece, bytes):
        return encode_basestring_ascii(piece.decode("latin-1"))[1:-1].encode("ascii")
    if isinstance(piece, int) and piece not in NUMBERS:
        raise OverflowError(f"{piece} is no number of 64 bits")
    return str(piece).encode("ascii")


try:
    from gateway.core._pieces import join as native_join
except ImportError:  # run from the sources, as on plain hosts
    native_join = None  # type: ignore[assignment]

join: Callable[..., bytes] = reference if native_join is None else native_join
