"""Programs side by side whose output stays readable: every line says which one wrote it."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

LONGEST_LINE_BYTES = 16 * 2**20


def run(
    lanes: Mapping[str, Sequence[str]], *, cwd: Path, env: Mapping[str, str], output: TextIO
) -> list[int]:
    """Run one command per lane, all at the same time; their exit codes in the order of the lanes.

    Ctrl-C reaches the programs by themselves, as they share the terminal. They get the time to clean up, and
    KeyboardInterrupt is raised when all have ended, or at once by a second Ctrl-C.
    """
    return asyncio.run(_run(lanes, cwd, env, output))


async def _run(
    lanes: Mapping[str, Sequence[str]], cwd: Path, env: Mapping[str, str], output: TextIO
) -> list[int]:
    width = max(map(len, lanes))
    running = asyncio.gather(
        *(_lane(f"{name:<{width}} │ ", argv, cwd, env, output) for name, argv in lanes.items())
    )
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        print("Interrupted: waiting for the tests to clean up.", file=output, flush=True)
        await running
        raise


async def _lane(prefix: str, argv: Sequence[str], cwd: Path, env: Mapping[str, str], output: TextIO) -> int:
    process = await asyncio.create_subprocess_exec(
        *argv, cwd=cwd, env={**env, "PYTHONUNBUFFERED": "1"},
        stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, limit=LONGEST_LINE_BYTES,
    )  # fmt: skip
    assert process.stdout is not None  # noqa: S101 - PIPE was asked for
    async for line in process.stdout:
        print(prefix + line.decode(errors="replace").rstrip("\n"), file=output, flush=True)
    return await process.wait()
