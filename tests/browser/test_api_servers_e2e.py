"""The live page of clusters that are real API servers: a change is shown, and one that dies."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from harness.api_server import ApiServer, kube_binary
from harness.browser import Page, chromium, page
from platforms.world import CONFIG, SERVICE, World

from cli.dashboard.collect import Collector
from cli.dashboard.server import Server
from cli.graph import command, inline
from cli.graph.picture import of_clusters
from cli.observe.api import ClientConfig, open_apis
from cli.observe.environment import Running
from stacks.config.loading import parse

pytestmark = pytest.mark.e2e

NAMES = ("control-plane", "cluster-2")
CHANGE_SECONDS = 1.0
LOSS_SECONDS = 3.0
POLICIES = "document.querySelector('#services tbody tr')?.cells[2].textContent"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ApiServer]]:
    folder = tmp_path_factory.mktemp("servers")
    with ExitStack() as stack:
        found = {name: stack.enter_context(ApiServer(folder / name)) for name in NAMES}
        for server in found.values():
            server.install_crds()
            server.kubectl("create", "namespace", SERVICE[0])
        yield found


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with chromium(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture
async def running(servers: dict[str, ApiServer], tmp_path: Path) -> AsyncIterator[Running]:
    """The environment of both."""
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {kube_binary()} kubectl "$@"\n')
    program.chmod(0o755)
    env = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    clusters = [one for one in CONFIG["clusters"] if one["name"] in NAMES]
    settings = parse({"clusters": clusters, "apps": [], "exports": [], "policies": []})
    configs = {name: ClientConfig(server.kubeconfig.read_text()) for name, server in servers.items()}
    async with AsyncExitStack() as stack:
        apis = await stack.enter_async_context(open_apis(configs, env))
        engine = cast("Any", SimpleNamespace(environment="dev"))
        yield Running(engine=engine, settings=settings, apis=apis, missing={})


@pytest.fixture
async def shown(running: Running, browser: str) -> AsyncIterator[Page]:
    """The page of both, live."""
    async with AsyncExitStack() as stack:
        collector = Collector(running)
        reading = asyncio.create_task(collector.run())
        stack.callback(reading.cancel)
        server = await stack.enter_async_context(Server(collector))
        found = await stack.enter_async_context(page(browser))
        await found.open(server.url)
        await found.until("document.querySelectorAll('#clusters .up').length === 2", 20.0)
        yield found
        assert not found.errors


def policy(lb_type: str) -> str:
    found = World()["cluster-2"].get("GlobalTrafficPolicy", "nodeapp")
    spec = {**found["spec"], "lbType": lb_type}
    return json.dumps({
        "apiVersion": "flomesh.io/v1alpha1", "kind": "GlobalTrafficPolicy",
        "metadata": found["metadata"], "spec": spec,
    })  # fmt: skip


async def test_a_policy_that_is_written_is_shown_within_a_second(
    shown: Page, servers: dict[str, ApiServer], tell: Any
) -> None:
    took = {}
    for lb_type in ("FailOver", "ActiveActive"):
        await asyncio.to_thread(servers["cluster-2"].kubectl, "apply", "-f", "-", stdin=policy(lb_type))
        began = time.monotonic()
        await shown.until(f"{POLICIES} === '{lb_type} in 1'", CHANGE_SECONDS)
        took[lb_type] = round(time.monotonic() - began, 2)
    tell(took)


async def test_a_picture_of_them_is_taken_at_once(
    running: Running, servers: dict[str, ApiServer], browser: str, tmp_path: Path
) -> None:
    await asyncio.to_thread(servers["cluster-2"].kubectl, "apply", "-f", "-", stdin=policy("FailOver"))
    moment = await Collector(running).once()
    file = tmp_path / "topology.html"
    file.write_text(inline.page(command.files_of_the_page(), of_clusters(moment, moment.problems)))
    async with page(browser) as found:
        await found.open(file.as_uri())
        await found.until(f"{POLICIES} === 'FailOver in 1'")
        assert await found.ask("document.querySelectorAll('#clusters .up').length") == 2
        assert not found.errors


async def test_a_cluster_that_is_killed_is_shown_within_three_seconds_and_so_is_its_return(
    shown: Page, servers: dict[str, ApiServer], tell: Any
) -> None:
    servers["cluster-2"].stop_api()
    began = time.monotonic()
    await shown.until(
        "document.querySelector('#clusters [data-name=cluster-2].down .error')?.textContent", LOSS_SECONDS
    )
    took = {"lost": round(time.monotonic() - began, 2)}
    await asyncio.to_thread(servers["cluster-2"].start_api)
    began = time.monotonic()
    await shown.until("document.querySelector('#clusters [data-name=cluster-2].up')", 10.0)
    tell({**took, "back": round(time.monotonic() - began, 2)})
