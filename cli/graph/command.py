"""`./stack graph`: writes the picture, a page that opens without a server."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

from airgap.report import Report
from cli import preflight
from cli.dashboard.collect import Collector
from cli.dashboard.server import PAGE, TYPES
from cli.doctor.command import after
from cli.errors import UserError
from cli.graph.foretold import of_settings
from cli.graph.inline import page
from cli.graph.picture import Picture, not_read, of_clusters
from cli.observe.environment import running
from cli.observe.present import engine_of
from cli.paths import Paths
from cli.preview.foreseen import ask, planned
from stacks.config.model import Settings

FORMATS = (".html", ".htm")


def run(arguments: argparse.Namespace, paths: Paths, progress: Report) -> int:
    """Draw what the settings lead to, or with --live what runs."""
    environment = arguments.environment
    target = Path(arguments.output or f"topology-{environment}.html")
    if arguments.output != "-" and target.suffix not in FORMATS:
        raise UserError(
            f"--output {target}: the picture is a page in HTML, which every browser opens. Name it "
            f"{target.with_suffix('.html').name}.",
            code=2,
        )
    chosen = preflight.checked_settings(paths, environment)
    if arguments.live:
        with progress.step(f"Looking at {environment}"):
            picture, unread = asyncio.run(_live(environment, paths, progress))
        for missing in unread:
            progress.note(f"Missing from the picture: {missing}")
    else:
        with progress.step(f"Asking the gateways' code who would serve whom in {environment}"):
            picture = foretold(environment, paths, chosen)
    text = page(files_of_the_page(), picture)
    if arguments.output == "-":
        sys.stdout.write(text)
        return 0
    try:
        target.write_text(text)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}; choose another --output.") from error
    progress.note(f"Wrote {target}: open it in a browser.")
    return 0


def files_of_the_page() -> dict[str, str]:
    """Those of the live page, by name."""
    return {path.name: path.read_text() for path in PAGE.iterdir() if path.suffix in TYPES}


def foretold(environment: str, paths: Paths, chosen: Settings) -> Picture:
    """The picture of an environment by its settings, as they were read."""
    there = planned(paths, environment, chosen)
    outlook = ask(chosen, there.assumed.objects, there) if chosen.mesh == "bundled" else None
    return of_settings(environment, chosen, there, outlook, time.time())


async def _live(environment: str, paths: Paths, progress: Report) -> tuple[Picture, list[str]]:
    """The picture, and what is missing from it."""
    async with running(engine_of(paths, environment, progress)) as found:
        moment, checks = await asyncio.gather(Collector(found).once(), after(found))
    return of_clusters(moment, checks), not_read(moment)
