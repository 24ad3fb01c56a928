"""How ./stack dashboard ends."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from airgap.report import Report
from cli.dashboard import command
from cli.paths import Paths


class Reading:
    """A collector that reads until it is told to end, and has it told."""

    def __init__(self, number: signal.Signals) -> None:
        self._number = number

    async def run(self) -> None:
        asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), self._number)
        await asyncio.sleep(30)


@pytest.mark.usefixtures("as_on_a_terminal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whoever_ends_it_finds_what_it_opened_closed(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []

    @asynccontextmanager
    async def running(_: Any) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await asyncio.sleep(0)
            told.append("closed")

    monkeypatch.setattr(command, "running", running)
    monkeypatch.setattr(command, "engine_of", lambda *_: None)
    monkeypatch.setattr(command, "Collector", lambda _: Reading(number))
    arguments = argparse.Namespace(environment="dev", port=0)
    assert command.run(arguments, Paths.here(), Report()) == 0
    assert told == ["closed"]
    assert capsys.readouterr().out.startswith("http://127.0.0.1:")
