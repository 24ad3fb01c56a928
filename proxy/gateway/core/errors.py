"""What can be wrong with a message, as one exception the edge turns into an answer."""

from __future__ import annotations


class ProtocolError(Exception):
    """A message that must not be forwarded.

    `status` is what a client gets for a request; a broken answer of an upstream becomes 502 whatever it says.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
