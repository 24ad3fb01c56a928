"""How many workers: what the user says, or one per CPU this process may use."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

MOST = 128
"""More is a slip of the finger: each worker is a process with connections and watches of its own."""

CGROUPS = Path("/sys/fs/cgroup")


def worker_count(text: str) -> int:
    """A number of workers, as argparse wants to have it checked; `auto` or 0 is one per CPU."""
    if text in {"auto", "0"}:
        return min(usable_cpus(), MOST)
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of workers: give 1 to {MOST}, or auto for one per CPU"
        )
    return int(text)


def usable_cpus() -> int:
    """CPUs this process may run on, no more than its control groups' limits pay for.

    Whole ones: a worker whose limit ends before its CPU does is stopped by the kernel for part of each tenth
    of a second.
    """
    allowed = len(os.sched_getaffinity(0))
    try:
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8")
    except OSError:
        return allowed
    limit = cpu_limit(groups, CGROUPS)
    return allowed if limit is None else max(1, min(allowed, int(limit)))


def cpu_limit(groups: str, mount: Path) -> float | None:
    """CPUs that control groups allow; None when they set no limit.

    `groups` is the text of /proc/self/cgroup. Limits of every group above count. A container may see its
    group as the root whatever path it is told, so what is not there is passed over.
    """
    limits = []
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root = mount
        elif "cpu" in controllers.split(","):
            root = mount / "cpu"
        else:
            continue
        folder = root / path.lstrip("/")
        limits += [_limit(one) for one in (folder, *folder.parents) if one.is_relative_to(root)]
    return min((limit for limit in limits if limit is not None), default=None)


def _limit(folder: Path) -> float | None:
    """The limit of one group, by version 2 or 1 of control groups."""
    try:
        both = _text(folder / "cpu.max") or (
            f"{_text(folder / 'cpu.cfs_quota_us')} {_text(folder / 'cpu.cfs_period_us')}"
        )
        quota, period = (int(part) for part in both.split())
    except ValueError:  # "max", or no such files
        return None
    return quota / period if quota > 0 and period > 0 else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
