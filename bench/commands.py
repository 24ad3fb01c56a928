"""Commands run to their end, or ended in order when the measurement is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

from bench.programs import BenchError

ENDING_SECONDS = 180.0
"""How long an interrupted command may take to put things in order; taking clusters down takes longest."""


def complete(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout: float = 900,
) -> str:
    """Standard output of a command. BenchError with everything it said when it fails or takes too long.

    Its session is its own: when we are interrupted it gets one Ctrl-C, with all it has started, and is waited
    for. A signal to it alone would leave what it started running, and what it made half-made.
    """
    with TemporaryFile("w+") as given, TemporaryFile("w+") as output, TemporaryFile("w+") as errors:
        given.write(stdin)
        given.seek(0)
        process: subprocess.Popen[bytes] | None = None
        try:
            with held_back():
                process = subprocess.Popen(
                    list(argv), cwd=cwd, env=None if env is None else dict(env), start_new_session=True,
                    stdin=given, stdout=output, stderr=errors,
                )  # fmt: skip
            process.wait(timeout)
        except BaseException as error:
            if process is None:
                raise
            _interrupt(process)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            wrong = f"has not finished within {timeout:g} s"
        else:
            wrong = f"failed ({process.returncode})" if process.returncode else ""
        for file in (output, errors):
            file.seek(0)
        said = output.read()
        if wrong:
            raise BenchError(f"{' '.join(argv)} {wrong}: {said[-2000:]}{errors.read()[-2000:]}")
    return said


@contextmanager
def held_back() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait for the block's end: one in the middle of a start would lose the process, one
    while things are put in order would leave them."""
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for one in came:
        signal.raise_signal(one)


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a session as Ctrl-C does, wait for it, and kill what is left of it."""
    with suppress(ProcessLookupError):  # it may have ended by itself
        os.killpg(process.pid, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(ENDING_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
