"""The process's heap: memory for large reads is kept between them."""

from __future__ import annotations

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's `mallopt` parameters."""

LARGEST_READ_BYTES = 1024 * 1024
"""What is smaller comes from the heap. uvloop reads up to 256,000 bytes at once, each time into a new
object."""

KEPT_BYTES = 16 * 1024 * 1024
"""Free memory at the heap's end that is not given back: some sixty reads on their way to slow clients."""


def keep_freed_memory() -> None:
    """Stop glibc from giving the memory of a large read back to the kernel as soon as it is written.

    By itself it does so at the end of the heap, where that memory is; the next read then gets it again, page
    by page, each of them cleared. With another C library, which has no `mallopt`, nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGEST_READ_BYTES)
        mallopt(TRIM_THRESHOLD, KEPT_BYTES)
