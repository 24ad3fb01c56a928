"""`./stack init`, `up` and `env`: what makes an environment, and lets plain `pulumi` go on with it."""

from __future__ import annotations

import argparse
import shlex
import time

from airgap.report import Report
from cli import hub_tokens, preflight, settings, toolchain
from cli.engine import Engine
from cli.errors import UserError
from cli.paths import Paths
from cli.prepare import engine_alone, prepared_engine


def init(arguments: argparse.Namespace, paths: Paths, progress: Report) -> int:
    """Make what an environment needs beside its file, and say what its file still lacks."""
    name = arguments.environment
    engine = Engine(engine_alone(paths, progress), name, progress)
    engine.ensure()
    progress.note(f"Environment {name!r} has a stack and a passphrase, kept in {engine.folder}.")
    try:
        preflight.checked_settings(paths, name)
    except UserError as error:
        progress.note(f"Before ./stack up {name}: {error}")
    else:
        progress.note(f"Its settings are complete: ./stack up {name}")
    return 0


def up(arguments: argparse.Namespace, paths: Paths, progress: Report) -> int:
    """Prepare the machine, then bring the environment up."""
    engine = prepared_engine(arguments, paths, progress)
    engine.ensure()
    chosen = preflight.checked_settings(paths, arguments.environment)
    without = hub_tokens.members_without_token(engine, chosen, time.time())
    for member in without:
        progress.note(f"Repairing: the hub has no good token in {member}; it gets a new credential there.")
    with progress.step(f"pulumi up {arguments.environment}", live=False):
        engine.up(refresh=arguments.refresh, replace=[hub_tokens.BOOTSTRAP.format(name) for name in without])
    progress.summary()
    return 0


def env(arguments: argparse.Namespace, paths: Paths, progress: Report) -> int:
    """Shell exports, for `eval`."""
    settings.source_file(paths, arguments.environment)
    engine = Engine(toolchain.existing(paths), arguments.environment, progress)
    if not engine.folder.exists():
        progress.note(f"stack: {arguments.environment!r} has no stack yet: run ./stack init first.")
    for name, value in sorted(engine.of_shells.items()):
        print(f"export {name}={shlex.quote(value)}")
    return 0
