"""The body of a request, kept for another attempt as long as it is short."""

from __future__ import annotations

from typing import Final


class ReplayBuffer:
    """`limit` in bytes: a longer body is sent once, while it comes in."""

    __slots__ = ("complete", "limit", "parts", "size")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.parts: list[bytes] = []
        self.size = 0
        self.complete = True
        """All that has come is in `parts`, so the request can be sent again."""

    def add(self, data: bytes, *, sent: bool) -> None:
        """`sent`: it is also on its way, so that it need not be kept."""
        if self.complete:
            self.parts.append(data)
            self.size += len(data)
            if sent:
                self.trim()

    def trim(self) -> None:
        """What is kept has been sent: let go of it when it is too long to be sent again."""
        if self.size > self.limit:
            self.drop()

    def drop(self) -> None:
        self.complete = False
        self.parts.clear()

    @property
    def held(self) -> int:
        """Bytes that are kept."""
        return self.size if self.parts else 0

    @property
    def full(self) -> bool:
        """No more should be read before what is here is sent."""
        return self.size > self.limit


NO_BODY: Final = ReplayBuffer(0)
"""Shared by all requests without one: nothing is ever added to it."""
