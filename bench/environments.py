"""Environments that a measurement brings up: their files, and commands on them."""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bench.commands import complete, held_back

ROOT = Path(__file__).resolve().parents[1]
STEP_SECONDS = 900


def run(argv: Sequence[str], env: Mapping[str, str], stdin: str = "") -> str:
    """Standard output of a command in the repository. BenchError with everything it said otherwise."""
    return complete(argv, cwd=ROOT, env=env, stdin=stdin, timeout=STEP_SECONDS)


def timed(argv: Sequence[str], env: Mapping[str, str]) -> float:
    """Seconds of wall time of a command."""
    started = time.monotonic()
    run(argv, env)
    return time.monotonic() - started


def take_down(environment: str) -> float:
    """Seconds that it took. Who interrupts waits for its end: half of it would be left for good."""
    with held_back():
        return timed(["./stack", "destroy", environment, "--yes"], os.environ)


def stack_environment(exports: str) -> dict[str, str]:
    """The process environment that a shell has after it has read what `./stack env` prints."""
    pairs = [word.partition("=") for word in shlex.split(exports) if word != "export"]
    return {**os.environ, **{name: value for name, _, value in pairs}}


@contextlib.contextmanager
def stack_file(environment: str, document: Mapping[str, Any]) -> Iterator[None]:
    """A Pulumi.<env>.yaml that is there for as long as the block runs."""
    path = ROOT / f"Pulumi.{environment}.yaml"
    path.write_text(yaml.safe_dump(dict(document), sort_keys=False))
    try:
        yield
    finally:
        path.unlink()
