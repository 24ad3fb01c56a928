"""When a connection is read from: what nobody can take yet is left to the kernel, and so to its sender."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import Any

READ_BYTES = 64 * 1024
"""Read at once of what is left when a connection is lost."""


def set_reading(transport: asyncio.Transport, reading: bool, wanted: bool) -> bool:
    """Have a transport that is read from, or not, do as wanted; whether it is read from now."""
    if wanted == reading or transport.is_closing():
        return reading
    if wanted:
        transport.resume_reading()
    else:
        transport.pause_reading()
    return wanted


def read_rest(transport: asyncio.Transport, protocol: Any) -> None:
    """Give a protocol what came before a reset, while its `reads_on` says so.

    Who answers early and closes resets the connection of a sender; the failed write is noticed before the
    answer that lies in the kernel's buffer is read. The transport has not closed its descriptor yet. One over
    TLS has read it by itself, and shows no socket.
    """
    socket = transport.get_extra_info("socket")
    with suppress(OSError):  # nothing is there, or what is left cannot be read
        while socket is not None and protocol.reads_on() and (data := os.read(socket.fileno(), READ_BYTES)):
            protocol.data_received(data)
