"""How commands end."""

from __future__ import annotations

import asyncio
import logging

import pytest

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
