"""`./stack bench`: measure, keep the samples, write docs/benchmarks.md and its picture."""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from airgap import debian, tools
from airgap.report import SupplyError
from bench.compiled import compiled_gateway
from bench.figures import as_json
from bench.page import page, picture
from bench.programs import BenchError, find
from bench.sections import DEBIAN_PACKAGES, SECTIONS, WITH_PEERS
from bench.setting import Bench
from bench.starters import STARTERS
from cli import process
from cli.errors import UserError
from cli.lock import exclusive
from cli.paths import Paths
from cli.progress import Progress, output_console


def run(arguments: argparse.Namespace, paths: Paths, progress: Progress) -> int:
    """Measure the chosen sections, or all. Sections measured before keep their last results."""
    names = arguments.sections or list(SECTIONS)
    if unknown := sorted(set(names) - set(SECTIONS)):
        raise UserError(f"no such section: {', '.join(unknown)}. Known: {', '.join(SECTIONS)}.", code=2)
    text = ""
    with process.terminated_as_interrupted():
        _require(paths, progress)
        peers, absent = find_peers(names, paths, progress)
        try:
            with progress.step("Compiling the gateway, unless it is in the cache"):
                gateway = compiled_gateway(paths.root, paths.cache)
            for name in names:
                with (
                    progress.step(f"Measuring {name}") as step,
                    tempfile.TemporaryDirectory(dir=_memory()) as folder,
                ):
                    bench = Bench(
                        folder=Path(folder),
                        root=paths.root,
                        cache=paths.cache,
                        gateway=gateway,
                        step=step,
                        peers=peers,
                        absent=absent,
                        quick=arguments.quick,
                        load_core=min(1, (os.cpu_count() or 1) - 1),
                    )
                    saved = as_json(name, SECTIONS[name](bench), machine())
                text = _keep(paths.root, name, saved)  # each at once: an interrupted run keeps what it has
        except BenchError as error:
            raise UserError(str(error)) from error
    output_console().print(text, markup=False, highlight=False)
    progress.summary()
    return 0


def _keep(root: Path, name: str, saved: Mapping[str, Any]) -> str:
    """Write the samples, the document and its picture from all results on file; returns the document."""
    results = root / "bench" / "results"
    results.mkdir(exist_ok=True)
    (results / f"{name}.json").write_text(json.dumps(saved, indent=1) + "\n")
    known = [json.loads(path.read_text()) for one in SECTIONS if (path := results / f"{one}.json").exists()]
    text = page(known)
    (root / "docs" / "benchmarks.md").write_text(text)
    (root / "docs" / "benchmarks.svg").write_text(picture(known))
    return text


def machine() -> dict[str, str]:
    """What the figures depend on, without what would tell whose machine it is. The load of the last minute,
    the measurement's own included, says whether anything else was running."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    kernel = ".".join(platform.release().split(".")[:2])
    return {
        "cores": str(os.cpu_count()),
        "CPU": model,
        "Linux": kernel,
        "Python": platform.python_version(),
        "load average": f"{os.getloadavg()[0]:.0f}",
    }


def _memory() -> str | None:
    """Files of the comparison lie in memory where there is such a folder: no disk is measured."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  a fresh folder within


def _require(paths: Paths, progress: Progress) -> None:
    """The peers and the load generator, from Debian. A peer that cannot be had is left out of the tables."""
    missing = [package for command, package in DEBIAN_PACKAGES.items() if find(command) is None]
    if not missing:
        return
    if debian.can_install():
        progress.note(f"Installing what is compared with, from Debian: {', '.join(missing)}.")
        debian.install(missing, paths.cache / "logs" / "bench.log", progress)
    elif needed := [command for command in ("wrk", "nginx", "taskset", "gcc") if find(command) is None]:
        raise UserError(
            f"{', '.join(needed)} not installed, and this user cannot install packages: "
            f"run `apt-get install {' '.join(missing)}` as root, then this again."
        )


def find_peers(
    sections: Sequence[str], paths: Paths, progress: Progress
) -> tuple[dict[str, str], dict[str, str]]:
    """Paths of the peers' programs by name, and of those that cannot be had the reason."""
    found = {name: path for name in STARTERS if (path := find(name))}
    absent = {name: "it is not installed here" for name in STARTERS if name not in found}
    if WITH_PEERS.isdisjoint(sections):
        return found, absent
    for name in tools.OF_BENCH:
        try:
            with exclusive(paths.lock, "./stack bench", progress):
                found[name] = str(tools.ensure_tools(paths.cache, progress, [name])[name])
            absent.pop(name, None)
        except SupplyError as error:
            absent[name] = str(error).splitlines()[0]
            progress.note(f"{name} is left out: {error}")
    return found, absent
