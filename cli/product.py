"""The version of the product: that of gateway, package, image and ./stack."""

from __future__ import annotations

import re
from pathlib import Path

FILE = "proxy/gateway/__init__.py"


def version(root: Path) -> str:
    """The version that the gateway's package says, by which everything else goes (pyproject.toml too)."""
    found = re.search(r'^__version__ = "([^"]+)"$', (root / FILE).read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f'{FILE} has no line __version__ = "..."')
    return found[1]
