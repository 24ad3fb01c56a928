"""./stack as a user types it, and where it keeps things."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from airgap import daemon
from bench.platform import stack_environment
from cli import docker_objects

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = "dev"
COLD_SECONDS = 45 * 60
NODE_SECONDS = 120
"""From the engine's word that it creates a cluster to the first container of one."""


def stack(
    *arguments: str, timeout: float = COLD_SECONDS, code: int = 0, env: Mapping[str, str] | None = None
) -> str:
    """Run ./stack, echoing its output into the test's log; returns standard output and error together.

    `env` is added to this process's own.
    """
    print(f"\n$ ./stack {' '.join(arguments)}", flush=True)
    started = time.monotonic()
    process = subprocess.Popen(
        [str(ROOT / "stack"), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, **(env or {})},
    )  # fmt: skip
    try:
        printed, _ = process.communicate(timeout=timeout)
    except KeyboardInterrupt:
        process.communicate(timeout=timeout)  # it was interrupted as well, and cleans up
        raise
    finally:
        process.kill()
    print(printed)
    print(f"[{time.monotonic() - started:.1f} s, exit {process.returncode}]", flush=True)
    assert process.returncode == code, f"./stack {' '.join(arguments)} ended with {process.returncode}"
    return printed


def state_folder(environment: str = ENVIRONMENT) -> Path:
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "multicluster-dapr" / "environments" / environment


def killed_up(**added: str) -> None:
    """An `up` that is killed, with everything it started, while it creates clusters: the worst moment."""
    child = subprocess.Popen(
        [str(ROOT / "stack"), "up", ENVIRONMENT], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, **added}, start_new_session=True,
    )  # fmt: skip
    assert child.stdout is not None
    seen = next((line for line in child.stdout if re.search(r"command:local:Command .*creating", line)), "")
    assert seen, "up ended without creating a cluster"
    deadline = time.monotonic() + NODE_SECONDS
    env = {**os.environ, "DOCKER_HOST": daemon.running_daemon() or ""}
    while not any(name.startswith("k3d-") for name in docker_objects.states(env, ENVIRONMENT)):
        assert time.monotonic() < deadline, "no container of a cluster came"
        time.sleep(0.1)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()


def engine_environment(environment: str = ENVIRONMENT) -> dict[str, str]:
    """What `eval "$(./stack env)"` makes of this process's environment."""
    printed = subprocess.run(
        [str(ROOT / "stack"), "env", environment], capture_output=True, text=True, check=True
    ).stdout
    return stack_environment(printed)
