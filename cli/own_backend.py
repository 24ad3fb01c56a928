"""The state in a backend that is one environment's alone: a file, read in place of asking a `pulumi` for it.

A `pulumi` takes most of a second to start, find out what it runs on and read the state.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cli.paths import PROJECT


def state(backend: Path, environment: str) -> dict[str, Any] | None:
    """What `pulumi stack export` says; None where no such file is, or one that `pulumi` has to read."""
    try:
        content = json.loads(_file(backend, environment).read_text())
        return {
            **{name: content[name] for name in ("version", "features") if name in content},
            "deployment": content["checkpoint"]["latest"] or {},
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None


def has(backend: Path, environment: str) -> bool:
    """Whether the environment is there; one that `pulumi` was told to compress is not seen."""
    return _file(backend, environment).exists()


def _file(backend: Path, environment: str) -> Path:
    return backend / ".pulumi" / "stacks" / PROJECT / f"{environment}.json"
