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

TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 120.0


class BenchError(Exception):
    """A measurement that cannot be made; the message says what, why and the way out."""


@dataclass
class Running:
    """A program under measurement, on a core of its own."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    @property
    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def memory_bytes(self) -> int:
        """Memory in use, pages shared with others counted in parts."""
        for line in Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        raise BenchError(f"the kernel does not tell how much memory {self.name} uses")

    @property
    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))  # noqa: PTH208  numbers are enough

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
            ["taskset", "-c", str(core), *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=out,
            env={**os.environ, "PATH": path, **(env or {})},
        )
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                process.wait()
                lines = log.read_text(errors="replace")[-2000:]
                raise BenchError(f"{name} does not listen on port {port}; it says:\n{lines}") from None
            time.sleep(0.02)
        else:
            return Running(name, port, process)


def gateway_argv(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gateway", *arguments]


def find(command: str) -> str | None:
    """Path of a program, looking where Debian puts daemons as well."""
    return shutil.which(command, path=f"/usr/sbin:/sbin:{os.environ.get('PATH', '')}")
