"""Starting, pinning and watching the programs that are measured."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

START_SECONDS = 120.0
CPU_CLOCK = 2
"""Added to a process's number in the name of the clock of its CPU time, see clock_getcpuclockid(3)."""


class BenchError(Exception):
    """A measurement that cannot be made; the message says what, why and what to do."""


@dataclass
class Running:
    """A program under measurement, on a core of its own."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    @property
    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far; /proc would count in ticks of ten milliseconds."""
        return time.clock_gettime(~self.process.pid << 3 | CPU_CLOCK)

    @property
    def memory_bytes(self) -> int:
        """Memory of its own. Pages of files are left out: others that use them as well come and go, and with
        them what is counted here."""
        for line in Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Anonymous:"):
                return int(line.split()[1]) * 1024
        raise BenchError(f"the kernel does not tell how much memory {self.name} uses")

    @property
    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))  # noqa: PTH208  numbers are enough

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, and forget what it was doing."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(
    name: str,
    argv: Sequence[str],
    *,
    core: int,
    port: int,
    folder: Path,
    env: Mapping[str, str] | None = None,
) -> Running:
    """Start a program and wait until it accepts connections. BenchError with its last lines when it ends."""
    log = folder / f"{name}.log"
    path = f"/usr/sbin:/sbin:{os.environ.get('PATH', '')}"
    with log.open("wb") as out:
        process = subprocess.Popen(
            pinned(core, argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=out,
            env={**os.environ, "PATH": path, **(env or {})},
        )
    running = Running(name, port, process)
    try:
        _await_port(running, log)
    except BaseException:
        running.stop()
        raise
    return running


def _await_port(running: Running, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", running.port), 1).close()
        except OSError:
            if running.process.poll() is not None or time.monotonic() > deadline:
                lines = log.read_text(errors="replace")[-2000:]
                raise BenchError(
                    f"{running.name} does not listen on port {running.port}; it says:\n{lines}"
                ) from None
            time.sleep(0.02)
        else:
            return


def tied(argv: Sequence[str]) -> list[str]:
    """A command that ends when we do, however we end: a killed measurement leaves no program behind."""
    return ["setpriv", "--pdeathsig", "KILL", *argv]


def pinned(core: int, argv: Sequence[str]) -> list[str]:
    """The same, on one core."""
    return tied(["taskset", "-c", str(core), *argv])


def interpreter() -> str:
    """The Python that the gateway runs on: Debian's, as in its image, where it is installed.

    Ours may be built in any way: one made from its sources with their defaults does a tenth less. It has to
    be of our version, since it runs what was compiled and installed for ours.
    """
    return (
        shutil.which(f"python{sys.version_info.major}.{sys.version_info.minor}", path="/usr/bin")
        or sys.executable
    )


def gateway_argv(*arguments: str) -> list[str]:
    return [interpreter(), "-m", "gateway", *arguments]


def find(command: str) -> str | None:
    """Path of a program, looking where Debian puts daemons as well."""
    return shutil.which(command, path=f"/usr/sbin:/sbin:{os.environ.get('PATH', '')}")
