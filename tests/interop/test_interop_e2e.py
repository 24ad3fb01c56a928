"""What a client gets from a server through two gateways is what it gets from it directly.

Every client asks every server the same (`cases.py`), once directly and once through the gateways of two
clusters, and the outcomes are compared case by case.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from interop import world
from interop.cases import CASES, HANG, KEPT, MEGABYTE, Case

from airgap import debian
from airgap.report import Report
from tests.harness.ports import free_ports

pytestmark = pytest.mark.e2e

SERVERS = ("nginx", "gunicorn", "uvicorn", "node", "go")
CLIENTS = ("curl", "http.client", "requests", "httpx", "aiohttp", "node http", "node fetch", "go")
LEARN = {"uvicorn", "node", "go"}
"""Servers whose applications are told that a client has left."""
SECONDS = 120.0
"""Of one client, on a busy machine."""
GAVE_UP = "gave up"

Outcome = dict[str, Any]


@dataclass(frozen=True)
class World:
    """The servers' ports, those at which two gateways lead to them, and what the clients are."""

    direct: Mapping[str, int]
    through: Mapping[str, int]
    logs: list[Path]
    clients: Mapping[str, list[str]]

    def ask(self, client: str, port: int, cases: list[Case]) -> list[Outcome]:
        asks = json.dumps([case.raw() for case in cases])
        argv = [*self.clients[client], f"http://127.0.0.1:{port}"]
        done = subprocess.run(argv, input=asks, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.returncode == 0, f"{client}: {done.stdout[-500:]}{done.stderr[-2000:]}"
        outcomes: list[Outcome] = json.loads(done.stdout)
        return outcomes


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("interop")
    report = Report()
    log = folder / "install.log"
    needed = {"nginx": "nginx-light", "node": "nodejs", "go": "golang-go", "curl": "curl"}
    paths = {command: debian.require(command, [package], log, report) for command, package in needed.items()}
    go = folder / "interop"
    subprocess.run(
        [paths["go"], "build", "-trimpath", "-o", str(go), "."],
        cwd=world.HERE / "go", env={**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}, check=True,
    )  # fmt: skip
    starts = world.servers(paths["nginx"], paths["node"], go)
    with world.Running(folder) as running:
        direct = dict(zip(SERVERS, free_ports(len(SERVERS)), strict=True))
        for name, port in direct.items():
            (folder / name).mkdir()
            env = {"PYTHONPATH": str(world.ROOT / "tests")}
            running.start(name, starts[name](port, folder / name), port, env)
        through, logs = world.gateways(running, direct)
        yield World(direct, through, logs, world.clients(paths["node"], go))


def told(outcome: Outcome) -> Outcome:
    """What must be the same: fields that the application gave, the body, whether the connection was kept."""
    if not outcome.get("status"):
        return {name: value for name, value in outcome.items() if name in {"error", "unsupported"}}
    fields = {name.lower(): values for name, values in outcome["fields"]}
    kept = {name: fields[name] for name in KEPT if name in fields}
    marks = [name for name in fields if name.startswith("x-gateway")]
    return {**outcome, "fields": kept, "marks of gateways": marks}


def as_good(case: Case, direct: Outcome, through: Outcome) -> bool:
    """Whether a client has nothing to complain about."""
    if "refused" in case.name and "unsupported" not in direct:
        # A server that closes on a sender may take its own answer back; behind the gateways it never does.
        return through.get("status") == 413 and direct.get("status", 413) == 413
    if direct.get("error", GAVE_UP) != GAVE_UP:
        return False  # a client or a server that this test does not know how to use
    kept = (direct.pop("reused", None), through.pop("reused", None))
    return direct == through and kept != (True, False)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_gets_what_it_gets_without_gateways(found: World, client: str, server: str) -> None:
    names = {way: f"{client}-{way}".replace(" ", "-") for way in ("direct", "through")}
    cases = {
        way: [*CASES[:-1], replace(HANG, path=f"{HANG.path}?{name}")] if server in LEARN else [*CASES[:-1]]
        for way, name in names.items()
    }
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(found.ask, client, found.direct[server], cases["direct"])
        two = pool.submit(found.ask, client, found.through[server], cases["through"])
        pairs = [
            (told(direct), told(through)) for direct, through in zip(one.result(), two.result(), strict=True)
        ]
    worse = {
        case.name: {"direct": direct, "through": through}
        for case, (direct, through) in zip(CASES, pairs, strict=False)
        if not as_good(case, direct, through)
    }
    assert not worse, json.dumps(worse, indent=1)
    if server in LEARN:
        until_left(found.direct[server], names.values())


def until_left(port: int, names: Any) -> None:
    """Wait until the application has learned that these clients are gone."""
    deadline = time.monotonic() + 10
    for name in names:
        while urllib.request.urlopen(f"http://127.0.0.1:{port}/left?{name}", timeout=10).read() != b"1":
            assert time.monotonic() < deadline, f"the application does not know that {name} left"
            time.sleep(0.05)


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn", "node", "go"])
def test_an_early_refusal_is_never_lost(found: World, server: str) -> None:
    refused = [
        Case("refused early", "/refuse", "POST", size=20 * MEGABYTE, chunked=bool(n % 2)) for n in range(20)
    ]
    outcomes = found.ask("go", found.through[server], refused)
    assert [outcome.get("status", outcome.get("error")) for outcome in outcomes] == [413] * 20


def test_the_gateways_found_nothing_malformed(found: World) -> None:
    """After all of the above: both logs are whole, and no reason is a fault of the gateways."""
    time.sleep(0.5)
    for log in found.logs:
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert len(lines) > len(CASES)
        assert not [line for line in lines if line["reason"] in {"malformed", "broken-answer", "no-route"}]
