"""`./stack graph`: writes the picture."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from airgap.report import Report
from cli import preflight
from cli.errors import UserError
from cli.graph.draw import draw
from cli.graph.picture import Picture, live, planned
from cli.observe.environment import engine_of, running
from cli.paths import Paths


def run(arguments: argparse.Namespace, paths: Paths, progress: Report) -> int:
    """Draw the settings, or with --live what runs."""
    settings = preflight.checked_settings(paths, arguments.environment)
    if arguments.live:
        picture = asyncio.run(_live(arguments.environment, paths, progress))
    else:
        picture = planned(arguments.environment, settings)
    text = draw(picture)
    if arguments.output == "-":
        sys.stdout.write(text)
        return 0
    target = Path(arguments.output or f"topology-{arguments.environment}.svg")
    try:
        target.write_text(text)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}; choose another --output.") from error
    progress.note(f"Wrote {target}.")
    return 0


async def _live(environment: str, paths: Paths, progress: Report) -> Picture:
    async with running(engine_of(paths, environment, progress)) as found:
        return live(await found.look())
