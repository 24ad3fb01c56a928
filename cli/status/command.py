"""`./stack status`: every cluster, what it exports, imports and decides, and who serves what now."""

from __future__ import annotations

import argparse

from airgap.report import Report
from cli import settings
from cli.observe.present import engine_of
from cli.paths import Paths


def run(arguments: argparse.Namespace, paths: Paths, progress: Report) -> int:
    """Show it once, or until Ctrl-C. 0 when all that is shown is well, 1 when something is not."""
    settings.source_file(paths, arguments.environment)
    engine = engine_of(paths, arguments.environment, progress)
    engine.ask_ahead()
    from cli.status.show import show  # noqa: PLC0415  takes as long to load as the engine to answer

    try:
        return show(engine, arguments)
    except KeyboardInterrupt:
        if arguments.watch:
            return 0  # that is how watching ends
        raise
