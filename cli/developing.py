"""`./stack test`, `check` and `bench`: for those who change the project."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from airgap import daemon
from airgap.lock import HeldError, exclusive
from airgap.report import Report
from cli import lanes
from cli.paths import Paths
from cli.prepare import prepare

# Half of a lane's time is waiting, so that several share a machine well.
FAST_LANES: Mapping[str, Sequence[str]] = {
    # In a process of their own in any case: the Pulumi SDK takes over the thread's event loop.
    "program": ["tests/program"],
    "rules": ["tests/config", "tests/proxy/core", "tests/fuzz"],
    "gateway": ["tests/proxy", "--ignore=tests/proxy/core"],
    "others": ["tests", *(f"--ignore=tests/{name}" for name in ("program", "config", "proxy", "fuzz"))],
}
MEASURED = "rules"  # the lane whose branches pyproject.toml holds; what it measures it alone tests
E2E_LANES: Mapping[str, Sequence[str]] = {
    "parts": [
        f"tests/{name}" for name in ("airgap", "plugins", "package", "program", "proxy", "interop", "browser")
    ],
    # One environment after the other: the pods of two, doing nothing, take all of a machine with two cores.
    "platform": ["tests/existing", "tests/e2e"],
}
# One lane counts failed calls and seconds; the other begins its tests when the machine has room for them.
GIVES_WAY: Mapping[str, Sequence[str]] = {"parts": ["-p", "tests.harness.give_way"]}
NO_TESTS_COLLECTED = 5  # pytest's exit code; with -k, one of the lanes may have none


def test(arguments: argparse.Namespace, paths: Paths, progress: Report) -> int:
    """Run pytest on the fast tests, or prepare the machine and run those on real parts; in lanes."""
    pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    wanted = arguments.arguments
    if arguments.suite == "fast":
        runs = {lane: [*pytest, *folders, *wanted] for lane, folders in FAST_LANES.items()}
        if not wanted:
            coverage = [sys.executable, "-m", "coverage"]
            runs[MEASURED] = [*coverage, "run", *runs[MEASURED][1:]]
            codes = lanes.run(runs, cwd=paths.root, env=os.environ, output=sys.stdout)
            if not any(codes):  # a test that failed leaves branches out
                codes.append(subprocess.run([*coverage, "report"], cwd=paths.root, check=False).returncode)
            return worst(codes)
        # One after another, on the terminal: the arguments may want to ask something, as --pdb does.
        return worst([subprocess.run(run, cwd=paths.root, check=False).returncode for run in runs.values()])
    with exclusive(paths.cache, "./stack test e2e", progress):
        env = prepare(paths, progress).env
    progress.summary()
    suite = ["-m", "e2e and not long", "-v", "--durations=40", *wanted]
    side_by_side = {
        lane: [*pytest, *GIVES_WAY.get(lane, ()), *folders, *suite] for lane, folders in E2E_LANES.items()
    }
    try:
        with daemon.in_use():  # what one lane destroys last must not be the end of the other's daemon
            codes = lanes.run(side_by_side, cwd=paths.root, env=env, output=sys.stdout)
    finally:
        stop_daemon(paths, progress)
    return worst(codes)


def stop_daemon(paths: Paths, progress: Report) -> None:
    """Stop our own Docker daemon, unless a command is under way that has found it and goes on with it."""
    try:
        with exclusive(paths.cache, "./stack test e2e", progress, refused=lambda _: True):
            daemon.stop_daemon(progress)
    except HeldError as error:
        progress.note(f"A Docker daemon of our own stays: another ./stack is at work ({error}).")


def worst(codes: Sequence[int]) -> int:
    """Exit code of several runs of pytest; one that found no test counts only if none did."""
    return max((abs(code) for code in codes if code != NO_TESTS_COLLECTED), default=NO_TESTS_COLLECTED)


def check(_arguments: argparse.Namespace, paths: Paths, _progress: Report) -> int:
    """Run scripts/check with this environment's tools."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        [str(paths.root / "scripts" / "check")], env={**os.environ, "PATH": path}, check=False
    ).returncode


def bench(arguments: argparse.Namespace, paths: Paths, _progress: Report) -> int:
    """Become the measurements: a program of their own, which knows nothing of the commands."""
    quick = ["--quick"] if arguments.quick else []
    argv = [sys.executable, "-m", "bench", f"--cache={paths.cache}", *quick, *arguments.sections]
    path = os.pathsep.join([str(paths.root), str(paths.root / "proxy")])
    os.execve(sys.executable, argv, {**os.environ, "PYTHONPATH": path})  # noqa: S606
