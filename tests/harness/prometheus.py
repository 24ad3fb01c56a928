"""Debian's Prometheus: its rule tester, and a server that scrapes what a test gives it."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from airgap import debian
from airgap.report import Report

START_SECONDS = 30.0
POLL_SECONDS = 0.1


def program(name: str, folder: Path) -> str:
    """Path of `prometheus` or `promtool`."""
    found = debian.require(name, ["prometheus"], folder / "install.log", Report())
    debian.keep_disabled(["prometheus.service"])
    return found


def promtool(folder: Path, *arguments: str) -> tuple[int, str]:
    """Its exit code, and all that it says."""
    done = subprocess.run(
        [program("promtool", folder), *arguments], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


class Prometheus:
    """One that runs, asked by its API."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def ask(self, page: str, **parameters: str) -> Any:
        """The data of an answer."""
        async with self._session.get(f"/api/v1/{page}", params=parameters) as answer:
            said = await answer.json()
        assert said["status"] == "success", said
        return said["data"]

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression now."""
        found: list[dict[str, Any]] = (await self.ask("query", query=expression))["result"]
        return found

    async def rules(self) -> list[dict[str, Any]]:
        """Every rule, with its health."""
        return [rule for group in (await self.ask("rules"))["groups"] for rule in group["rules"]]


@asynccontextmanager
async def prometheus(
    folder: Path, port: int, targets: Sequence[str], rules: Path
) -> AsyncIterator[Prometheus]:
    """A Prometheus that scrapes these addresses, and evaluates these rules, each second."""
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "gateways", "static_configs": [{"targets": list(targets)}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    argv = [
        "setpriv", "--pdeathsig", "KILL", program("prometheus", folder),
        f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*argv, stdout=log, stderr=log)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            await _ready(session, process, folder)
            yield Prometheus(session)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _ready(session: aiohttp.ClientSession, process: asyncio.subprocess.Process, folder: Path) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            assert process.returncode is None, (folder / "prometheus.log").read_text()
            try:
                async with session.get("/-/ready") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(POLL_SECONDS)
