"""Which module acts on each command. It alone is imported: to import all takes longer than most of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from importlib import import_module

from airgap.lock import HeldError, exclusive
from airgap.report import Report
from cli import settings
from cli.errors import UserError
from cli.paths import Paths

COMMANDS: Mapping[str, str] = {
    "init": "bring_up:init",
    "up": "bring_up:up",
    "preview": "preview.command:run",
    "demo": "demo:run",
    "status": "status.command:run",
    "dashboard": "dashboard.command:run",
    "doctor": "doctor.command:run",
    "explain": "explain.command:run",
    "drill": "drill.command:run",
    "gather": "gather.command:run",
    "graph": "graph.command:run",
    "destroy": "take_down:destroy",
    "env": "bring_up:env",
    "test": "developing:test",
    "check": "developing:check",
    "bench": "developing:bench",
}
CHANGING = {"init", "up", "preview", "demo", "drill", "destroy"}
PREPARING = {"init", "up", "preview", "destroy"}
"""Of these those that make what all environments share: tools, images, the Docker daemon."""
AT_ONCE = {"drill"}
"""Of these those that refuse while another one works on the environment, in place of waiting."""

Command = Callable[[argparse.Namespace, Paths, Report], int]


def run(arguments: argparse.Namespace, progress: Report) -> int:
    """Dispatch. Commands that change something hold the environment's lock; the others only read."""
    paths = Paths.here()
    if not _changes(arguments):
        return command_of(arguments.command)(arguments, paths, progress)
    settings.source_file(
        paths, arguments.environment
    )  # refuse an unknown environment before waiting or building
    purpose = f"./stack {arguments.command} {arguments.environment}"

    def refused(_holder: str) -> bool:
        return arguments.command in AT_ONCE

    try:
        with ExitStack() as locks:
            environment = exclusive(
                paths.cache, purpose, progress, environment=arguments.environment, refused=refused
            )
            locks.enter_context(environment)
            if arguments.command in PREPARING:
                locks.enter_context(exclusive(paths.cache, purpose, progress))
            import_module("cli.drill.command").put_back_left(arguments.environment, paths, progress)
            return command_of(arguments.command)(arguments, paths, progress)
    except HeldError as error:
        raise UserError(
            f"{purpose} does not wait for another ./stack ({error}): what it finds then is not what you saw. "
            "Run it again when that has ended."
        ) from error


def _changes(arguments: argparse.Namespace) -> bool:
    if arguments.command == "preview" and (arguments.traffic or arguments.json):
        return False  # then it prepares nothing and runs no engine
    return arguments.command in CHANGING


def command_of(name: str) -> Command:
    """What acts on a command."""
    module, _, function = COMMANDS[name].partition(":")
    command: Command = getattr(import_module(f"cli.{module}"), function)
    return command
