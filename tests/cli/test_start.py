"""How much is loaded before a command acts: waiting for modules is what most of them take longest for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cli.commands import COMMANDS, command_of
from cli.help import HELP

ROOT = Path(__file__).resolve().parents[2]
SLOW = {"aiohttp", "asyncio", "cryptography", "docker", "pydantic", "requests", "rich", "yaml"}


def loaded(*words: str) -> set[str]:
    """Packages that Python loads for these words of its command line."""
    argv = [sys.executable, "-X", "importtime", *words]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    names = (line.rpartition("|")[2].strip() for line in done.stderr.splitlines())
    return {name.partition(".")[0] for name in names}


def test_who_asks_for_help_waits_for_nothing() -> None:
    assert not loaded("-m", "cli", "--help") & SLOW
    assert not loaded("-m", "cli", "drill", "--help") & SLOW


def test_a_status_asks_the_engine_before_it_loads_what_looks_at_clusters() -> None:
    assert loaded("-c", "import cli.status.command") & SLOW == {"rich", "yaml"}


def test_every_command_has_something_that_acts_and_something_that_tells() -> None:
    assert set(COMMANDS) == set(HELP)
    assert all(callable(command_of(name)) for name in COMMANDS)
