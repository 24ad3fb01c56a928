"""Addresses of the pod or machine this runs on, as Linux tells them."""

from __future__ import annotations

import os
import re
from ipaddress import IPv6Address
from pathlib import Path

NET = Path("/proc/net")
LOCAL_V4 = re.compile(r"\|-- ([0-9.]+)\n +/32 host LOCAL")
"""An entry of an interface's own address in the kernel's table of routes."""


def own_addresses(net: Path = NET) -> frozenset[str]:
    """Those of its interfaces, and POD_IP by the environment. What cannot be read is left out."""
    found = {os.environ.get("POD_IP", "")} - {""}
    found.update(LOCAL_V4.findall(_read(net / "fib_trie")))
    for line in _read(net / "if_inet6").splitlines():
        found.add(str(IPv6Address(int(line.split()[0], 16))))
    return frozenset(found)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
