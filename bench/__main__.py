"""`./stack bench`: measure, keep the samples, write docs/benchmarks.md and its picture."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from airgap.report import Report, SupplyError, output_console
from bench.commands import complete
from bench.compiled import compiled_gateway
from bench.figures import as_json
from bench.installed import find_peers, require
from bench.page import page, picture
from bench.programs import BenchError, interpreter
from bench.sections import SECTIONS
from bench.setting import Bench

ROOT = Path(__file__).resolve().parents[1]


def main(argv: list[str] | None = None) -> int:
    """Measure the chosen sections; every expected failure is one message and an exit code."""
    parser = argparse.ArgumentParser(prog="./stack bench", usage="./stack bench [SECTION ...] [--quick]")
    parser.add_argument("sections", nargs="*")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--cache", type=Path, required=True)  # of tools and of the compiled gateway
    arguments = parser.parse_args(argv)
    if unknown := sorted(set(arguments.sections) - set(SECTIONS)):
        parser.error(f"no such section: {', '.join(unknown)}. Known: {', '.join(SECTIONS)}.")
    signal.signal(signal.SIGTERM, _interrupt)  # so that what was started is taken down, as by Ctrl-C
    report = Report()
    try:
        run(arguments.sections or list(SECTIONS), arguments.cache, report, quick=arguments.quick)
    except (BenchError, SupplyError) as error:
        report.note(f"stack: {error}")
        return 1
    except KeyboardInterrupt:
        report.note("stack: interrupted. What was measured is kept: run the same command again for the rest.")
        return 130
    return 0


def run(names: list[str], cache: Path, report: Report, *, quick: bool) -> None:
    """Measure these sections. Those measured before keep their last results."""
    require(cache, report)
    peers, absent = find_peers(names, cache, report)
    with report.step("Compiling the gateway, unless it is in the cache"):
        gateway = compiled_gateway(ROOT, cache)
    text = ""
    for name in names:
        with report.step(f"Measuring {name}") as step, tempfile.TemporaryDirectory(dir=_memory()) as folder:
            bench = Bench(
                folder=Path(folder),
                root=ROOT,
                cache=cache,
                gateway=gateway,
                step=step,
                peers=peers,
                absent=absent,
                quick=quick,
                load_core=min(1, (os.cpu_count() or 1) - 1),
            )
            saved = as_json(name, SECTIONS[name](bench), machine())
        text = _keep(name, saved)  # each at once: an interrupted run keeps what it has
    output_console().print(text, markup=False, highlight=False)
    report.summary()


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
        "Python": complete([interpreter(), "--version"], cwd=ROOT).split()[-1],
        "load average at the end": f"{os.getloadavg()[0]:.0f}",
    }


def _keep(name: str, saved: Mapping[str, Any]) -> str:
    """Write the samples, the document and its picture from all results on file; returns the document."""
    results = ROOT / "bench" / "results"
    results.mkdir(exist_ok=True)
    (results / f"{name}.json").write_text(json.dumps(saved, indent=1) + "\n")
    kept = [json.loads(path.read_text()) for one in SECTIONS if (path := results / f"{one}.json").exists()]
    text = page(kept)
    (ROOT / "docs" / "benchmarks.md").write_text(text)
    (ROOT / "docs" / "benchmarks.svg").write_text(picture(kept))
    return text


def _memory() -> str | None:
    """Files of the comparison lie in memory where there is such a folder: no disk is measured."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  a fresh folder within


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
