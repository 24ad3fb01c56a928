"""Plugins that are themselves written in Python: components as a package, with a PulumiPlugin.yaml."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pulumi.runtime.proto import language_pb2

from airgap.plugins.base.process import run

REQUIREMENTS = "requirements.txt"


async def streamed(
    make: Any,
    argv: Sequence[str],
    *,
    folder: str,
    stops: set[asyncio.Event],
    environment: Mapping[str, str] | None = None,
) -> AsyncGenerator[Any, None]:
    """Run a process to its end; each line of its streams becomes a message of the type `make`.

    The last item is its status, an int. While it runs, `stops` holds the event that ends it. It is killed,
    with all it started, also when nobody reads any longer.
    """
    lines: asyncio.Queue[Any] = asyncio.Queue()

    async def out(line: str) -> None:
        lines.put_nowait(make(stdout=f"{line}\n".encode()))

    async def err(line: str) -> None:
        lines.put_nowait(make(stderr=f"{line}\n".encode()))

    stops.add(stop := asyncio.Event())
    work = asyncio.create_task(run(argv, environment=environment, folder=folder, out=out, err=err, stop=stop))
    work.add_done_callback(lambda _: lines.put_nowait(None))
    try:
        while (message := await lines.get()) is not None:
            yield message
    finally:
        stop.set()
        done = await work
        stops.discard(stop)
    yield done.status


def run_plugin(python: str, request: Any, stops: set[asyncio.Event]) -> AsyncGenerator[Any, None]:
    """Run the folder of a plugin, which serves the engine until it is stopped."""
    return streamed(
        language_pb2.RunPluginResponse,
        [python, request.info.program_directory, *request.args],
        folder=request.pwd,
        stops=stops,
        environment=dict(pair.split("=", 1) for pair in request.env),
    )


def steps(venv: Path | None, folder: Path, python: str) -> list[list[str]]:
    """What installs the requirements of a program or plugin: its environment is made if it names one."""
    if not (folder / REQUIREMENTS).exists():
        return []
    made = venv / "bin" / "python" if venv else Path(python)
    install = [str(made), "-m", "pip", "install", "--disable-pip-version-check", "-r", REQUIREMENTS]
    if venv is None or made.exists():
        return [install]
    return [[python, "-m", "venv", str(venv)], install]
