"""Short turns for programs that share a core.

python bench/slices.py COMMAND ...

The kernel lets a program that has work go on for about three milliseconds before the next one on its core has
its turn (base_slice_ns). Load generator and application share a core because the machine has few, and with
turns like these a p99 says how often the two met, the more often the faster the proxy is.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Sequence

NANOSECONDS = 100_000
"""The shortest that the kernel gives, see sched_setattr(2) and `custom_slice` in its kernel/sched."""
NUMBERS = {"x86_64": 314, "aarch64": 274}
"""Of the system call, for which the C library has no name."""
ATTRIBUTES = "IIQiIQQQ"
"""struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period."""


def in_short_turns(argv: Sequence[str]) -> list[str]:
    """The same command, with short turns where the kernel has them (Linux 6.12)."""
    return [sys.executable, "-I", "-S", __file__, *argv]


def main(argv: list[str]) -> None:
    """Become the command. A kernel that does not know or allow short turns leaves them as they are."""
    number = NUMBERS.get(os.uname().machine)
    if number is not None and os.sched_getscheduler(0) == os.SCHED_OTHER:
        nice, size = os.getpriority(os.PRIO_PROCESS, 0), struct.calcsize(ATTRIBUTES)
        wanted = struct.pack(ATTRIBUTES, size, os.SCHED_OTHER, 0, nice, 0, NANOSECONDS, 0, 0)
        ctypes.CDLL(None).syscall(number, 0, wanted, 0)
    os.execvp(argv[0], argv)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
