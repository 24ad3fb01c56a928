"""Run other programs: argv in, output out, failures with everything needed to understand them."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from cli.errors import UserError


def output(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path | None = None, timeout: float = 120
) -> str:
    """Standard output of a command that must succeed. Raises UserError with its output otherwise."""
    try:
        done = subprocess.run(
            list(argv), env=dict(env), cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False
        )
    except FileNotFoundError as error:
        raise UserError(f"{argv[0]} is not installed or not on PATH; run ./stack up first.") from error
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{' '.join(argv)} did not finish within {timeout:.0f} s.") from error
    if done.returncode:
        raise UserError(
            f"{' '.join(argv)} failed ({done.returncode}): {(done.stderr or done.stdout).strip()}"
        )
    return done.stdout


def runs(pid: int, program: str) -> bool:
    """Whether this process is one of this program: not a zombie, and not its number used again."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    name, _, state = stat.partition("(")[2].rpartition(") ")
    return name == program and state[0] not in "ZX"


@dataclass(frozen=True)
class Ended:
    """How a foreground command ended."""

    code: int
    interrupted: bool


def foreground(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path | None = None) -> Ended:
    """Run with our own terminal.

    Ctrl-C reaches the child directly (same process group). We stay alive until it has cleaned up:
    the engine needs that time to write its state.
    """
    signals: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        signals.append(number)

    before = signal.signal(signal.SIGINT, remember)
    try:
        code = subprocess.run(list(argv), env=dict(env), cwd=cwd, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)
    return Ended(code, bool(signals))


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM, and a terminal that goes, end the block as Ctrl-C does, so that all it started is ended."""
    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # under nohup the end of the terminal means nothing
        numbers.append(signal.SIGHUP)
    ended: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        handler = signal.getsignal(signal.SIGINT)
        if callable(handler):  # an event loop has its own, which ends tasks in order
            handler(signal.SIGINT, frame)
            return
        # It is ignored, as in the background of a shell, and a loop has none. What is raised in here may come
        # up wherever the program is just now, in a destructor too, where it would be lost.
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise KeyboardInterrupt from None
        ended.append(number)
        loop.call_soon_threadsafe(_cancel_all, loop)

    with handled(numbers, interrupt):
        try:
            yield
        except asyncio.CancelledError:
            if ended:
                raise KeyboardInterrupt from None
            raise


@contextmanager
def handled(
    numbers: Sequence[signal.Signals], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    """Signals go to this handler while the block lasts, and to those that they had afterwards."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()
