"""The node's long-running programs: started, started again when they end, stopped together."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from . import layout
from .log import log

RESTART_SECONDS = 1.0
STOP_SECONDS = 2.0
TAIL_CHARACTERS = 400


class Processes:
    """Keeps each program running until `stop`; their output goes to a file per program."""

    def __init__(self, logs: Path = layout.LOGS) -> None:
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = threading.Event()

    def start(self, name: str, argv: Sequence[str]) -> None:
        threading.Thread(target=self._keep, args=(name, argv), name=name, daemon=True).start()

    def stop(self) -> None:
        """End all programs, the kubelet first; what has not ended after two seconds is killed."""
        self._stopping.set()
        for process in reversed(list(self._running.values())):
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for process in self._running.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()

    def tail(self, name: str) -> str:
        """The last thing a program said, shortened."""
        path = self._logs / f"{name}.log"
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return lines[-1][:TAIL_CHARACTERS] if lines else "nothing"

    def _keep(self, name: str, argv: Sequence[str]) -> None:
        while not self._stopping.is_set():
            with (self._logs / f"{name}.log").open("wb") as output:
                process = subprocess.Popen(
                    argv, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
                )
            self._running[name] = process
            code = process.wait()
            if self._stopping.wait(RESTART_SECONDS):
                return
            log("error", f"{name} ended with {code}, starting it again; it said last: {self.tail(name)}")
