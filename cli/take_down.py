"""`./stack destroy`: removes all that an environment has made, after a question where that is more."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from airgap import daemon
from airgap.report import Report
from cli import docker_objects, others, toolchain
from cli.engine import Engine
from cli.errors import UserError
from cli.paths import Paths


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
        # Pulumi's own last line advises to remove the stack.
        progress.note("Its stack is removed as well; its settings stay in the file.")
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
