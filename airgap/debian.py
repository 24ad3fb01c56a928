"""Debian packages on this machine: whether they can be installed, and doing so without side effects."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airgap.report import Report, SupplyError
from airgap.run import run_logged

POLICY = Path("/usr/sbin/policy-rc.d")
_OURS = "#!/bin/sh\n# multicluster-dapr: packages must not start services while it installs them\nexit 101\n"


def can_install() -> bool:
    """Root on a Debian family machine."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


@contextmanager
def _services_stay_down(policy: Path = POLICY) -> Iterator[None]:
    """Packages installed inside the block do not start their services.

    An administrator's own policy file is left alone: it already decides. One of ours that a killed run
    left behind is taken over and removed at the end.
    """
    mine = not policy.exists() or policy.read_text() == _OURS
    if mine:
        policy.write_text(_OURS)
        policy.chmod(0o755)
    try:
        yield
    finally:
        if mine:
            policy.unlink(missing_ok=True)


def install(packages: list[str], log: Path, report: Report) -> None:
    """Install packages with apt-get; their services are neither started nor enabled."""
    with report.step(f"Installing {', '.join(packages)}") as step, _services_stay_down():
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
        hint = f"Check the network and /etc/apt/sources.list, or install {' '.join(packages)} by hand."
        run_logged(["dpkg", "--configure", "-a"], log=log, step=step, env=environment, hint=hint)
        run_logged(["apt-get", "update", "-q"], log=log, step=step, env=environment, hint=hint)
        run_logged(
            ["apt-get", "install", "-q", "-y", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0", *packages],
            log=log,
            step=step,
            env=environment,
            hint=hint,
        )


def require(command: str, packages: list[str], log: Path, report: Report) -> str:
    """Path of a command, installing the packages that bring it when it is missing."""
    found = _which(command)
    if found is None:
        if not can_install():
            raise SupplyError(
                f"{command} is not installed, and this user cannot install it: "
                f"install the package {packages[0]} (needs root on Debian) and run again."
            )
        install(packages, log, report)
        found = _which(command)
    if found is None:
        raise SupplyError(f"{command} is still missing after installing {', '.join(packages)}; see {log}.")
    return found


def search_path() -> str:
    """PATH with the sbin folders in front, which a plain user's often lacks."""
    return "/usr/local/sbin:/usr/sbin:/sbin:" + os.environ.get("PATH", "/usr/bin:/bin")


def _which(command: str) -> str | None:
    return shutil.which(command, path=search_path())


def keep_disabled(units: list[str]) -> None:
    """Where systemd runs, keep freshly installed units from starting at the next boot."""
    if Path("/run/systemd/system").is_dir():
        subprocess.run(["systemctl", "disable", *units], check=False, capture_output=True)
