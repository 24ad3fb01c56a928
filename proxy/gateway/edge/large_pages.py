"""The heap on large pages, of 2 MiB in place of 4 KiB, where the kernel has them to give.

The routes that are asked for lie between those that are not: of a large configuration each request needs
pages that none has needed for a while, and the processor, which knows where some two thousand are, looks up
the place of each every time. It knows all large ones. What that is worth stands in docs/benchmarks.md.

Neither the C library nor Python is asked to take large pages, for they take memory in pieces that are
smaller; and the kernel's own search takes minutes, where it is switched on at all. So blocks that are half
filled or more are moved one by one: hardly any memory is added.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol

BLOCK: Final = 2 * 1024 * 1024
"""Bytes of a large page, on x86-64 and on arm64 with the usual small pages."""

PAGE: Final = 4096
"""Bytes of a small one."""

MADV_COLLAPSE: Final = 25
"""`madvise`: put this on large pages now. Linux 6.1; Python's `mmap` module has it not."""

FIRST_SECONDS, ROUND_SECONDS, LONGEST_SECONDS = 1.0, 10.0, 600.0
"""Until the first look at the heap, between two, and between two at most while the kernel has no page."""

PAUSE_SECONDS = 0.05
"""Between two blocks: whoever needs what is in one waits while it is moved. That takes under a millisecond,
and six where a virtual machine has to be given the memory first."""

log = logging.getLogger(__name__)


class Kernel(Protocol):
    """What is asked of the kernel, of a block's address each time. OSError where it says no."""

    def present(self, block: int) -> int:
        """How many small pages of it are in memory: of a thread's stack few are."""

    def collapse(self, block: int) -> None:
        """Put it on a large page."""


class Linux:
    """The kernel by way of the C library. OSError or AttributeError when it has no large pages for what is
    there already."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        self._mincore, self._madvise = library.mincore, library.madvise
        self._pages = ctypes.create_string_buffer(BLOCK // PAGE)
        if os.sysconf("SC_PAGE_SIZE") != PAGE:
            raise OSError(errno.ENOTSUP, f"large pages are not of {BLOCK} bytes here")
        self._ask(self._madvise, 0, 0, ctypes.c_int(MADV_COLLAPSE))  # whether it knows the word

    def present(self, block: int) -> int:
        self._ask(self._mincore, block, BLOCK, self._pages)
        return self._pages.raw.count(1)

    def collapse(self, block: int) -> None:
        self._ask(self._madvise, block, BLOCK, ctypes.c_int(MADV_COLLAPSE))

    def _ask(self, function: Any, start: int, size: int, more: object) -> None:
        if function(ctypes.c_void_p(start), ctypes.c_size_t(size), more):
            number = ctypes.get_errno()
            raise OSError(number, f"{function.__name__}: {os.strerror(number)}")


def heap_blocks(maps: str) -> Iterator[int]:
    """Addresses of the blocks that lie in private memory of no file, of what /proc/self/maps says."""
    for line in maps.splitlines():
        bounds, allowed, _, _, inode, *name = line.split(maxsplit=5)
        if allowed != "rw-p" or inode != "0" or name not in ([], ["[heap]"]):
            continue
        start, end = (int(bound, 16) for bound in bounds.split("-"))
        yield from range(-(-start // BLOCK) * BLOCK, end - BLOCK + 1, BLOCK)


def own_blocks() -> set[int]:
    """Those of this process."""
    return set(heap_blocks(Path("/proc/self/maps").read_text()))


async def move(blocks: set[int], settled: set[int], kernel: Kernel) -> bool:
    """Put `blocks` that are at least half filled on large pages; whether there were enough of them.

    `settled`: those for which there is nothing more to do, which are on one, or can be on none.
    """
    settled &= blocks
    enough = True
    for block in sorted(blocks - settled):
        try:
            if kernel.present(block) < BLOCK // PAGE // 2:
                continue
            await asyncio.to_thread(kernel.collapse, block)
        except OSError as error:
            if error.errno != errno.EINVAL:  # no large page is free, or the block is there no more
                enough = False
                continue
        settled.add(block)
        await asyncio.sleep(PAUSE_SECONDS)
    return enough


async def stay_on_large_pages() -> None:
    """Look at the heap again and again until cancelled, where the kernel can do something for it."""
    try:
        kernel = Linux()
    except (OSError, AttributeError) as error:
        log.info("the heap stays on small pages: %s", error)
        return
    settled: set[int] = set()
    pause = ROUND_SECONDS
    await asyncio.sleep(FIRST_SECONDS)
    while True:
        enough = await move(own_blocks(), settled, kernel)
        pause = ROUND_SECONDS if enough else min(2 * pause, LONGEST_SECONDS)
        await asyncio.sleep(pause)
