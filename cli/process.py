"""Run other programs: argv in, output out, failures with everything needed to understand them."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
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
    """Run with our own terminal, until it has ended by itself."""
    with _remembered() as signals:
        code = subprocess.run(list(argv), env=dict(env), cwd=cwd, check=False).returncode
    return Ended(code, bool(signals))


@contextmanager
def patient() -> Iterator[None]:
    """Wait for what is run within even when Ctrl-C comes; KeyboardInterrupt afterwards, whatever it said."""
    with _remembered() as signals:
        try:
            yield
        except UserError:
            if not signals:
                raise
    if signals:
        raise KeyboardInterrupt


@contextmanager
def _remembered() -> Iterator[list[int]]:
    """The interrupts that came meanwhile.

    Ctrl-C reaches the child directly (same process group). We stay alive until it has cleaned up: the engine
    needs that time to write its state and to give back its lock. `subprocess` alone would kill it after a
    quarter of a second.
    """
    signals: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        signals.append(number)

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield signals
    finally:
        signal.signal(signal.SIGINT, before)
