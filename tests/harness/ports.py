"""Ports of loopback for what a test starts itself."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

CHOSEN_FROM = range(20_000, 30_000)
"""Below those that the kernel hands out (32768 on, see ip_local_port_range in ip(7)): nobody gets one by
chance before it is used, and who still knocks at it later meets no server of another test."""
CHANCE = random.SystemRandom()
"""Hypothesis begins the usual one again, in each process with the same numbers."""


def free_ports(count: int) -> range:
    """As many ports that nothing listens on, one after the other."""
    while True:
        first = CHANCE.randrange(CHOSEN_FROM.start, CHOSEN_FROM.stop - count)
        ports = range(first, first + count)
        if all(map(_is_free, ports)):
            return ports


def _is_free(port: int) -> bool:
    with socket.socket() as sock, suppress(OSError):
        sock.bind(("127.0.0.1", port))
        return True
    return False
