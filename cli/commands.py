"""What each command does, in the order it does it."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from airgap import daemon
from airgap.lock import HeldError, exclusive
from airgap.report import Report, output_console
from cli import demo, docker_objects, hub_tokens, lanes, others, preflight, settings, toolchain
from cli.engine import Engine
from cli.errors import UserError
from cli.paths import Paths
from cli.preview import command as traffic
from stacks.outlook import handed


def run(arguments: argparse.Namespace, progress: Report) -> int:
    """Dispatch. Commands that change something hold the lock; the others only read."""
    command = COMMANDS[arguments.command]
    paths = Paths.here()
    if arguments.command not in CHANGING or (arguments.command == "preview" and traffic.alone(arguments)):
        return command(arguments, paths, progress)
    settings.source_file(
        paths, arguments.environment
    )  # refuse an unknown environment before waiting or building
    purpose = f"./stack {arguments.command} {arguments.environment}"

    def refused(holder: str) -> bool:
        return arguments.command in AT_ONCE and f" {arguments.environment}, process" in holder

    try:
        with exclusive(paths.cache, purpose, progress, refused=refused):
            import_module("cli.drill.command").put_back_left(arguments.environment, paths, progress)
            return command(arguments, paths, progress)
    except HeldError as error:
        raise UserError(
            f"{purpose} does not wait for another ./stack ({error}): what it finds then is not what you saw. "
            "Run it again when that has ended."
        ) from error


def up(arguments: argparse.Namespace, paths: Paths, progress: Report) -> int:
    """Prepare the machine, then bring the environment up."""
    engine = _engine(arguments, paths, progress)
    engine.ensure()
    chosen = preflight.checked_settings(paths, arguments.environment)
    without = hub_tokens.members_without_token(engine, chosen, time.time())
    for member in without:
        progress.note(f"Repairing: the hub has no good token in {member}; it gets a new credential there.")
    with progress.step(f"pulumi up {arguments.environment}", live=False):
        engine.up(refresh=arguments.refresh, replace=[hub_tokens.BOOTSTRAP.format(name) for name in without])
    progress.summary()
    return 0


def init(arguments: argparse.Namespace, paths: Paths, progress: Report) -> int:
    """Make what an environment needs beside its file, and say what its file still lacks."""
    name = arguments.environment
    engine = Engine(toolchain.engine_alone(paths, progress), name, progress)
    engine.ensure()
    progress.note(f"Environment {name!r} has a stack and a passphrase, kept in {engine.folder}.")
    try:
        preflight.checked_settings(paths, name)
    except UserError as error:
        progress.note(f"Before ./stack up {name}: {error}")
    else:
        progress.note(f"Its settings are complete: ./stack up {name}")
    return 0


def preview(arguments: argparse.Namespace, paths: Paths, progress: Report) -> int:
    """Prepare the machine, then show the changes, and who would serve whom."""
    if traffic.alone(arguments):
        return traffic.run(arguments, paths, progress)
    engine = _engine(arguments, paths, progress)
    engine.ensure()
    resources = engine.resources()
    with tempfile.TemporaryDirectory(prefix="multicluster-dapr-") as folder:  # mode 0700
        told = Path(folder) / "traffic.json"
        engine.preview(resources, diff=arguments.diff, told=told)
        traffic.show(arguments, engine, progress, resources, handed.taken(told))
    return 0


def walk(arguments: argparse.Namespace, paths: Paths, progress: Report) -> int:
    """Run the demo and print its table; 1 when any answer is not as expected."""
    engine = Engine(toolchain.existing(paths), arguments.environment, progress)
    rows = demo.walk(engine, progress.note)
    table = Table(title="The article's walk", title_justify="left")
    for column in ("", "step", "expected", "seen"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row("✔" if row.passed else "✗", escape(row.step), escape(row.expected), escape(row.seen))
    output_console().print(table)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(demo.as_json(rows), indent=2, ensure_ascii=False) + "\n")
    failed = [row.step for row in rows if not row.passed]
    if failed:
        raise UserError(f"{len(failed)} of {len(rows)} answers were not as expected: {', '.join(failed)}.")
    progress.note(f"All {len(rows)} answers as expected.")
    return 0


def destroy(arguments: argparse.Namespace, paths: Paths, progress: Report) -> int:
    """Remove every resource, the stack, and the Docker daemon when it is ours and nothing uses it."""
    here = paths.environment(arguments.environment).exists()
    if not here and not Engine(toolchain.existing(paths), arguments.environment, progress).shared:
        progress.note(f"Nothing to destroy: environment {arguments.environment!r} is not up on this machine.")
    else:
        with progress.step("Docker"):
            docker_host = daemon.ensure_daemon(paths.cache, progress)
        engine = Engine(toolchain.existing(paths, docker_host=docker_host), arguments.environment, progress)
        engine.ensure()
        if not arguments.yes:
            _ask_for_others(others.of_others(engine), arguments.environment)
        with progress.step(f"pulumi destroy {arguments.environment}", live=False):
            engine.destroy()
        if left := docker_objects.leftovers(engine.toolchain.env, arguments.environment):
            raise UserError(f"destroy ended but these are still there: {', '.join(left)}.")
    if not any((paths.state / "environments").glob("*")):
        daemon.stop_daemon(progress)
    return 0


def _ask_for_others(found: Sequence[str], environment: str) -> None:
    """Ask before objects of others go with their namespace. Raises UserError unless the answer is yes."""
    if not found:
        return
    more = [f"and {len(found) - others.SHOWN} more"] if len(found) > others.SHOWN else []
    lines = "\n".join(f"  - {line}" for line in [*found[: others.SHOWN], *more])
    said = f"destroy deletes namespaces, and with them what this environment did not make:\n{lines}"
    if not sys.stdin.isatty():
        raise UserError(
            f"{said}\nMove it, or run ./stack destroy {environment} --yes. A namespace with `mode: require` "
            "in `namespaces` stays, once ./stack up has handed it over."
        )
    print(said)
    if input("Delete all of it? [y/N] ").strip().lower() not in ("y", "yes"):
        raise UserError("nothing was deleted.")


def env(arguments: argparse.Namespace, paths: Paths, progress: Report) -> int:
    """Shell exports, for `eval`."""
    settings.source_file(paths, arguments.environment)
    engine = Engine(toolchain.existing(paths), arguments.environment, progress)
    if not engine.folder.exists():
        progress.note(f"stack: {arguments.environment!r} has no stack yet: run ./stack init first.")
    for name, value in sorted(engine.of_shells.items()):
        print(f"export {name}={shlex.quote(value)}")
    return 0


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
        env = toolchain.prepare(paths, progress).env
    progress.summary()
    suite = ["-m", "e2e and not long", "-v", "--durations=40", *wanted]
    side_by_side = {lane: [*pytest, *folders, *suite] for lane, folders in E2E_LANES.items()}
    try:
        with daemon.in_use():  # what one lane destroys last must not be the end of the other's daemon
            codes = lanes.run(side_by_side, cwd=paths.root, env=env, output=sys.stdout)
    finally:
        _stop_daemon(paths, progress)
    return worst(codes)


def _stop_daemon(paths: Paths, progress: Report) -> None:
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


def _engine(arguments: argparse.Namespace, paths: Paths, progress: Report) -> Engine:
    chosen = preflight.checked_settings(paths, arguments.environment)
    prepared = toolchain.prepare(
        paths, progress, supply=arguments.supply or chosen.supply, mirror=chosen.mirror
    )
    preflight.check_ports(chosen, prepared.env, arguments.environment)
    preflight.check_network(chosen, prepared.env, arguments.environment)
    return Engine(prepared, arguments.environment, progress)


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
    # Clusters of somebody else first: later they load the machine while the other lane counts failed calls.
    "parts": [
        f"tests/{name}"
        for name in ("existing", "airgap", "plugins", "package", "program", "proxy", "interop", "browser")
    ],
    "platform": ["tests/e2e"],
}
NO_TESTS_COLLECTED = 5  # pytest's exit code; with -k, one of the lanes may have none

Command = Callable[[argparse.Namespace, Paths, Report], int]


def _of(package: str) -> Command:
    """A command with a package of its own, imported when it runs: to import all takes longer than to look."""

    def command(arguments: argparse.Namespace, paths: Paths, progress: Report) -> int:
        code: int = import_module(f"cli.{package}.command").run(arguments, paths, progress)
        return code

    return command


COMMANDS: Mapping[str, Command] = {
    "init": init, "up": up, "preview": preview, "demo": walk, "destroy": destroy, "env": env,
    "test": test, "check": check,
    "status": _of("status"), "dashboard": _of("dashboard"), "doctor": _of("doctor"), "graph": _of("graph"),
    "explain": _of("explain"), "gather": _of("gather"), "bench": bench,
    "drill": _of("drill"),
}  # fmt: skip
CHANGING = {"init", "up", "preview", "demo", "drill", "destroy"}
AT_ONCE = {"drill"}
"""Of these those that refuse while another one works on the environment, in place of waiting."""
