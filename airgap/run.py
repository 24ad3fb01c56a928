"""Running a long command: output to a log file, its latest line to the progress, failure to an error."""

from __future__ import annotations

import errno
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from airgap.report import Step, SupplyError

TAIL_LINES = 12
LOW_DISK_BYTES = 64 * 1024 * 1024  # below this, a failed build is blamed on the disk


def run_logged(
    argv: Sequence[str],
    *,
    log: Path,
    step: Step,
    hint: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    progress: Callable[[str], str | None] = lambda line: line,
) -> None:
    """Run a command to its end; raise SupplyError with its last lines when it fails.

    `progress` turns a line of output into what the step shows, None shows nothing.
    """
    folder = cwd or log.parent
    log.parent.mkdir(parents=True, exist_ok=True)
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    with log.open("a") as file:
        print(f"$ {' '.join(argv)}", file=file, flush=True)
        try:
            process = subprocess.Popen(
                argv,
                cwd=cwd,
                env=None if env is None else dict(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        except FileNotFoundError as missing:
            raise SupplyError(f"{argv[0]} cannot be run: {missing}. {hint}") from missing
        with process:
            try:
                for raw in process.stdout or ():
                    line = raw.rstrip()
                    print(line, file=file, flush=True)
                    shown = progress(line) if line else None
                    if line:
                        tail.append(line)
                    if shown:
                        step.update(shown)
            except BaseException:
                process.terminate()  # Ctrl-C, a full disk: no orphan keeps writing into a folder we remove
                raise
    if process.returncode == 0:
        return
    lines = "\n".join(f"    {line}" for line in tail)
    if "no space left on device" in lines.lower() or shutil.disk_usage(folder).free < LOW_DISK_BYTES:
        raise SupplyError(f"{disk_full(' '.join(argv[:3]), folder)}\n{lines}")
    raise SupplyError(
        f"{' '.join(argv[:3])} ended with {_ending(process.returncode)}; all of its output is in {log}. "
        f"Its last lines:\n{lines}\n{hint}"
    )


def disk_full(what: str, folder: Path) -> str:
    """The message for a full disk."""
    free = shutil.disk_usage(folder).free // (1024 * 1024)
    return (
        f"{what} failed because the disk is full ({free} MiB left for {folder}). "
        "Free some gigabytes, or set XDG_CACHE_HOME to a larger disk, and run again: finished parts are kept."
    )


@contextmanager
def explain_disk_full(folder: Path) -> Iterator[None]:
    """Turn "no space left" from anything done inside the block into a message that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise SupplyError(disk_full("Writing the cache", folder)) from error


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
