"""What measurements need on this machine: load generator and peers, from Debian and from a Go module."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from airgap import debian, tools
from airgap.lock import exclusive
from airgap.report import Report, SupplyError
from bench.programs import BenchError, find
from bench.sections import BUILT
from bench.starters import STARTERS

DEBIAN_PACKAGES = {
    "wrk": "wrk",
    "nginx": "nginx-light",
    "haproxy": "haproxy",
    "taskset": "util-linux",
    "gcc": "gcc",
}
"""What sections run, and the package that brings it."""


def require(cache: Path, report: Report) -> None:
    """The peers and the load generator, from Debian. A peer that cannot be had is left out of the tables."""
    missing = [package for command, package in DEBIAN_PACKAGES.items() if find(command) is None]
    if not missing:
        return
    if debian.can_install():
        report.note(f"Installing what is compared with, from Debian: {', '.join(missing)}.")
        debian.install(missing, cache / "logs" / "bench.log", report)
    elif needed := [command for command in ("wrk", "nginx", "taskset", "gcc") if find(command) is None]:
        raise BenchError(
            f"{', '.join(needed)} not installed, and this user cannot install packages: "
            f"run `apt-get install {' '.join(missing)}` as root, then this again."
        )


def find_peers(sections: Sequence[str], cache: Path, report: Report) -> tuple[dict[str, str], dict[str, str]]:
    """Paths of the peers' programs by name, and of those that cannot be had the reason."""
    found = {name: path for name in STARTERS if (path := find(name))}
    absent = {name: "it is not installed here" for name in STARTERS if name not in found}
    for name in (name for name, users in BUILT.items() if not users.isdisjoint(sections)):
        try:
            with exclusive(cache, "./stack bench", report):
                found[name] = str(tools.ensure_tools(cache, report, [name])[name])
            absent.pop(name, None)
        except SupplyError as error:
            absent[name] = str(error).splitlines()[0]
            report.note(f"{name} is left out: {error}")
    return found, absent
