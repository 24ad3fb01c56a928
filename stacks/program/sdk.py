"""What the SDK does for each resource, and what costs a program of hundreds most of its time."""

from __future__ import annotations

import asyncio


async def begun() -> None:
    """Return when all registrations that were asked for have begun.

    At a program's end the SDK waits for the registrations that have begun, and only then for all values. Of
    these it looks at every one that is missing whenever one of them is known, so the cost grows with their
    square. Registrations begin when the program first lets the event loop go on.
    """
    await asyncio.sleep(0)
