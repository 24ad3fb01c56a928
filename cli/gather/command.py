"""`./stack gather`: reads everything that can be had, and packs it."""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path

from airgap.report import Report, Step
from cli import settings as settings_files
from cli.doctor.check import Check, as_json
from cli.doctor.command import after
from cli.doctor.machine import machine_checks
from cli.doctor.survey import survey
from cli.engine import Engine
from cli.errors import UserError
from cli.gather import clusters, machine
from cli.gather.archive import Archive
from cli.gather.redact import Redactor
from cli.observe.environment import Running, running
from cli.observe.present import engine_of
from cli.paths import Paths
from cli.status.as_json import as_json as status


def run(arguments: argparse.Namespace, paths: Paths, progress: Report) -> int:
    """Write the archive and say where it is."""
    environment = arguments.environment
    settings_files.source_file(paths, environment)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    target = Path(arguments.output or f"multicluster-dapr-{environment}-{stamp}.tar.gz")
    engine = engine_of(paths, environment, progress)
    with progress.step(f"Gathering {environment}") as step:
        try:
            missing = asyncio.run(gather(target, engine, step))
        except OSError as error:
            raise UserError(f"cannot write {target}: {error.strerror}; choose another --output.") from error
    progress.note(f"Wrote {target} ({target.stat().st_size / 1024:.0f} KiB).")
    for line in missing:
        progress.note(f"  could not be had: {line}")
    return 0


async def gather(target: Path, engine: Engine, step: Step) -> list[str]:
    """Fill the archive; what could not be had is returned as well as written into it."""
    surveyed = asyncio.create_task(asyncio.to_thread(survey, engine.toolchain.paths, engine.environment))
    try:
        async with running(engine) as environment:
            step.update("secrets, to leave them out")
            known = machine.secrets_of(engine) | await clusters.secrets_of(
                environment.apis, environment.settings
            )
            with Archive(target, engine.environment, Redactor(known)) as archive:
                checks = await _clusters(archive, environment, step)
                _machine(archive, engine, [*machine_checks(await surveyed), *checks], step)
                return archive.missing
    except UserError as error:
        with Archive(target, engine.environment, Redactor(machine.secrets_of(engine))) as archive:
            archive.lacks("clusters", error)
            _machine(archive, engine, machine_checks(await surveyed), step)
            return archive.missing


async def _clusters(archive: Archive, environment: Running, step: Step) -> list[Check]:
    step.update("clusters")
    platform = await environment.look()
    archive.json("status.json", status(platform))
    await clusters.gather_clusters(archive, platform, environment.apis)
    step.update("doctor")
    return await after(environment, platform)


def _machine(archive: Archive, engine: Engine, checks: list[Check], step: Step) -> None:
    step.update("this machine")
    archive.json("doctor.json", as_json(checks))
    machine.gather_machine(archive, engine)
