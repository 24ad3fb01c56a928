"""./stack as a user types it, and where it keeps things."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = "dev"
COLD_SECONDS = 45 * 60


def stack(*arguments: str, timeout: float = COLD_SECONDS, code: int = 0) -> str:
    """Run ./stack, echoing its output into the test's log; returns standard output and error together."""
    print(f"\n$ ./stack {' '.join(arguments)}", flush=True)
    started = time.monotonic()
    done = subprocess.run(
        [str(ROOT / "stack"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    print(done.stdout)
    print(f"[{time.monotonic() - started:.1f} s, exit {done.returncode}]", flush=True)
    assert done.returncode == code, f"./stack {' '.join(arguments)} ended with {done.returncode}"
    return done.stdout


def state_folder(environment: str = ENVIRONMENT) -> Path:
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "multicluster-dapr" / "environments" / environment


def temporary_files() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("multicluster-dapr-*"))


def engine_environment(environment: str = ENVIRONMENT) -> dict[str, str]:
    """What `eval "$(./stack env)"` makes of this process's environment."""
    printed = subprocess.run(
        [str(ROOT / "stack"), "env", environment], capture_output=True, text=True, check=True
    ).stdout
    exports = dict(word.split("=", 1) for word in shlex.split(printed) if word != "export")
    return {**os.environ, **exports}
