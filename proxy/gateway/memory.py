"""The memory of this process: what its container allows, what it takes."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from gateway.core.budget import DEFAULT_LIMIT_BYTES, Budget, share_out

NO_LIMIT = 1 << 60
"""Where cgroup v1 has no limit it says the largest number of pages there could be."""


def container_limit(root: Path = Path("/")) -> int | None:
    """The smallest memory limit of the control groups this process is in; None without one.

    Of cgroup v2 (`memory.max`) and v1 (`memory.limit_in_bytes`). A container sees its own group as the root
    of the tree; outside one, the groups above count too.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    tree = root / "sys/fs/cgroup"
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, name = tree, "memory.max"
        elif "memory" in controllers.split(","):
            top, name = tree / "memory", "memory.limit_in_bytes"
        else:
            continue
        own = PurePosixPath(path.lstrip("/"))
        found += [_read(top / one / name) for one in (own, *own.parents)]
    return min((limit for limit in found if limit is not None and limit < NO_LIMIT), default=None)


def _read(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # no such group is mounted here; "max"
        return None


def resident_bytes() -> int:
    """What this process takes now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def own_budget(limit: int | None = None) -> Budget:
    """The budget of this process. `limit`: what it may take, where its container's limit does not count."""
    return share_out(limit or container_limit() or DEFAULT_LIMIT_BYTES, resident_bytes())
