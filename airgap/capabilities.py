"""Linux capabilities this machine cannot give, and the runc wrapper that stops asking for them.

Some machines boot with capabilities removed from the bounding set. Docker asks for all of them when a
container is privileged, and runc then fails with "unable to apply caps". k3d's nodes are privileged.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from airgap.runc_wrapper import NAMES

WRAPPER_SOURCE = Path(__file__).with_name("runc_wrapper.py")


def bounding_set(status: str) -> int:
    """The bounding set as a bit mask, from the text of /proc/<pid>/status."""
    for line in status.splitlines():
        if line.startswith("CapBnd:"):
            return int(line.split()[1], 16)
    raise ValueError("no CapBnd line in /proc/self/status")


def missing_capabilities(status: str, last_cap: int) -> tuple[str, ...]:
    """Names of those the kernel knows (0 to `last_cap`) and the bounding set misses."""
    mask, names = bounding_set(status), NAMES.split()
    missing = [bit for bit in range(last_cap + 1) if not mask >> bit & 1]
    return tuple(f"CAP_{names[bit]}" if bit < len(names) else f"capability {bit}" for bit in missing)


def missing_on_this_machine() -> tuple[str, ...]:
    status = Path("/proc/self/status").read_text()
    return missing_capabilities(status, int(Path("/proc/sys/kernel/cap_last_cap").read_text()))


def install_wrapper(folder: Path) -> Path:
    """Put the wrapper into `folder` as an executable and return its path."""
    # The base interpreter, not a virtual environment's: the environment may go while containers live on.
    interpreter = Path(sys.executable).resolve()
    if shutil.which("python3", path="/usr/bin"):
        interpreter = Path("/usr/bin/python3")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "runc-within-bounds"
    # -ISE skips site-packages and the environment: 15 ms per container start instead of 40.
    text = f"#!{interpreter} -ISE\n" + WRAPPER_SOURCE.read_text()
    fresh = target.with_suffix(".new")
    fresh.write_text(text)
    fresh.chmod(0o755)
    fresh.replace(target)
    return target
