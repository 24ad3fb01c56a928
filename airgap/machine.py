"""What a machine must have before anything is made on it, asked all at once: ten minutes into a build is too
late to learn that there is no Docker."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from airgap import daemon
from airgap.gobuild import is_built, no_go
from airgap.programs import Program
from airgap.report import SupplyError

COLD_BYTES = 9 * 1024**3
"""Seen on disk after an empty cache was filled: programs, Go's caches, images, the daemon's data."""


def require(cache: Path, wanted: Sequence[Program]) -> None:
    """Raise SupplyError with everything that is missing to make these programs and run containers."""
    missing = [program for program in wanted if not is_built(cache, program)]
    found = [_go(missing), _docker(), _room(cache, missing)]
    lacks = [text for text in found if text]
    if lacks:
        lines = "\n".join(f"  - {text}" for text in lacks)
        raise SupplyError(f"this machine cannot do it yet:\n{lines}" if len(lacks) > 1 else lacks[0])


def _go(missing: Sequence[Program]) -> str:
    return no_go(missing) if missing and shutil.which("go") is None else ""


def _docker() -> str:
    try:
        return daemon.lacking()
    except SupplyError as error:  # DOCKER_HOST names a daemon that is silent
        return str(error)


def _room(cache: Path, missing: Sequence[Program]) -> str:
    folder = next(path for path in (cache, *cache.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    if not missing or free >= COLD_BYTES:
        return ""
    return (
        f"{folder} has {free / 1024**3:.1f} GiB free; building everything from an empty cache takes about "
        f"{COLD_BYTES / 1024**3:.0f} GiB. Free some room, or set XDG_CACHE_HOME to a larger disk."
    )
