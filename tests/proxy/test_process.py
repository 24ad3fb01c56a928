"""How commands begin to write, and how they end."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.__main__ import build_parser
from gateway.process import work_until


async def test_a_stopped_command_ends_well_and_works_until_its_end() -> None:
    said = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            said.append("work is over")

    async def ending() -> None:
        await asyncio.sleep(0)
        said.append("drained")

    stop = asyncio.Event()
    asyncio.get_running_loop().call_soon(stop.set)
    assert await work_until(stop, work(), ending) == 0
    assert said == ["drained", "work is over"]


async def test_a_command_that_fails_says_why_and_with_its_exit_code(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        raise RuntimeError("a defect")

    with caplog.at_level(logging.ERROR):
        assert await work_until(asyncio.Event(), work()) == 1
    assert "a defect" in caplog.text


@pytest.mark.parametrize(("level", "seen"), [("info", True), ("warning", False)])
def test_the_log_begins_at_the_level_that_is_asked_for(level: str, seen: bool) -> None:
    said = (
        "import logging; from gateway import process\n"
        "async def work(stop): logging.getLogger('it').info('a word'); return 0\n"
        f"raise SystemExit(process.run(work, {level!r}))"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "proxy")}
    done = subprocess.run([sys.executable, "-c", said], env=env, capture_output=True, text=True, check=True)
    assert ("a word" in done.stderr) is seen
    assert not done.stdout, "that is the access log's"


@pytest.mark.parametrize("command", ["run", "control", "hub"])
def test_every_long_running_command_takes_a_level(command: str) -> None:
    key = "--cluster-key=a/b/c/d"
    more = ["--listen=127.0.0.1:0"] if command == "run" else []
    arguments = build_parser().parse_args([command, key, *more, "--log-level=debug"])
    assert arguments.log_level == "debug"
