"""YAML by libyaml, which takes a seventh of the time, where PyYAML has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def documents(file: Path) -> Iterator[Any]:
    """The documents in a file of this package."""
    yield from yaml.load_all(file.read_text(), _LOADER)
