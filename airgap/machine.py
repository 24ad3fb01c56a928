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

COLD_BYTES = 20 * 1024**3
"""Seen on disk after everything was made from nothing: images and tools 8.4 GiB, Go's build cache 6.7, Go's
modules 4.5. A part of the programs counts as that part of it."""


def require(cache: Path, wanted: Sequence[Program]) -> None:
    """Raise SupplyError with everything that is missing to make these programs and run containers."""
    programs = {program.name: program for program in wanted}.values()
    missing = [program for program in programs if not is_built(cache, program)]
    found = [_go(missing), _docker(), _room(cache, len(missing) / max(1, len(programs)))]
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


def _room(cache: Path, part: float) -> str:
    folder = next(path for path in (cache, *cache.parents) if path.exists())
    free, needed = shutil.disk_usage(folder).free, COLD_BYTES * part
    if free >= needed:
        return ""
    return (
        f"{folder} has {free / 1024**3:.1f} GiB free; what is still to be built takes about "
        f"{needed / 1024**3:.0f} GiB. Free some room, or set XDG_CACHE_HOME to a larger disk."
    )
