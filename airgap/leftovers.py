"""Unfinished work in the cache: made under one prefix, renamed when whole, cleared after a killed run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

PREFIX = ".unfinished-"


def clear(cache: Path) -> None:
    """Remove what a killed run left half-made. The caller holds the lock that keeps other runs away."""
    for path in (*cache.glob(f"{PREFIX}*"), *cache.glob(f"*/{PREFIX}*")):
        for point in mounts_below(path, Path("/proc/self/mounts").read_text()):
            subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def mounts_below(folder: Path, mounts: str) -> list[str]:
    """Mount points inside a folder, innermost first: debootstrap mounts /proc and /sys into its target."""
    points = [line.split()[1] for line in mounts.splitlines()]
    return sorted((point for point in points if point.startswith(f"{folder}/")), reverse=True)
