"""When a connection is read from: what nobody can take yet is left to the kernel, and so to its sender."""

from __future__ import annotations

import asyncio


def set_reading(transport: asyncio.Transport, reading: bool, wanted: bool) -> bool:
    """Have a transport that is read from, or not, do as wanted; whether it is read from now."""
    if wanted == reading or transport.is_closing():
        return reading
    if wanted:
        transport.resume_reading()
    else:
        transport.pause_reading()
    return wanted
