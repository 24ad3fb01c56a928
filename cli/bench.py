"""`./stack bench`: measure, keep the samples, write docs/benchmarks.md and its picture."""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from pathlib import Path

from airgap import debian
from bench.compiled import compiled_gateway
from bench.figures import as_json
from bench.page import page, picture
from bench.programs import BenchError, find
from bench.sections import DEBIAN_PACKAGES, SECTIONS
from bench.setting import Bench
from cli.errors import UserError
from cli.paths import Paths
from cli.progress import Progress, output_console


def run(arguments: argparse.Namespace, paths: Paths, progress: Progress) -> int:
    """Measure the chosen sections, or all. Sections measured before keep their last results."""
    names = arguments.sections or list(SECTIONS)
    if unknown := sorted(set(names) - set(SECTIONS)):
        raise UserError(f"no such section: {', '.join(unknown)}. Known: {', '.join(SECTIONS)}.", code=2)
    _require(paths, progress)
    results = paths.root / "bench" / "results"
    results.mkdir(exist_ok=True)
    text = ""
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
                    quick=arguments.quick,
                    load_core=min(1, (os.cpu_count() or 1) - 1),
                )
                saved = as_json(name, SECTIONS[name](bench), machine())
            (results / f"{name}.json").write_text(json.dumps(saved, indent=1) + "\n")
            text = _write(paths.root)  # after each, so that an interrupted run keeps what it has found out
    except BenchError as error:
        raise UserError(str(error)) from error
    output_console().print(text, markup=False, highlight=False)
    progress.summary()
    return 0


def _write(root: Path) -> str:
    """The document and its picture from all results on file; returns the document."""
    results = root / "bench" / "results"
    known = [json.loads(path.read_text()) for name in SECTIONS if (path := results / f"{name}.json").exists()]
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
