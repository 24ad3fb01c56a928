"""The live page of the running platform, in a real browser: traffic, a changed policy, a killed cluster."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from e2e.commands import ENVIRONMENT, ROOT
from e2e.load import Clusters, Load
from harness.browser import Page, chromium, kept_picture, page

pytestmark = pytest.mark.e2e

URL = "http://nodeapp.dapr-test:3000/ports"
NODE = "k3d-cluster-1-server-0"
NODEAPP = "dapr-test/nodeapp"
DETAIL = "document.querySelector('#detail').innerText"
LOSS_SECONDS = 3.0
CHANGE_SECONDS = 3.0
"""From the moment the object is written: its gateways take it in before the page can show it."""
BACK_SECONDS = 240.0


def policy(lb_type: str) -> str:
    targets = [{"clusterKey": f"default/default/default/{name}"} for name in ("cluster-1", "cluster-3")]
    return json.dumps({
        "apiVersion": "flomesh.io/v1alpha1", "kind": "GlobalTrafficPolicy",
        "metadata": {"name": "nodeapp", "namespace": "dapr-test"},
        "spec": {"lbType": lb_type, "targets": targets},
    })  # fmt: skip


@pytest.fixture(scope="module")
def load(clusters: Clusters) -> Iterator[Load]:
    """Requests from cluster-2, shared by both exporters."""
    clusters.asking("apply", "-f", "-", stdin=policy("ActiveActive"))
    try:
        with Load(clusters.asking, URL) as found:
            found.until(lambda: found.served("cluster-1", "cluster-3"), "both clusters answer")
            yield found
    finally:
        clusters.asking("delete", "-f", "-", "--ignore-not-found", stdin=policy("ActiveActive"))


@pytest.fixture(scope="module")
def address(platform: dict[str, str]) -> Iterator[str]:
    """Where ./stack serves the page."""
    argv = [str(ROOT / "stack"), "dashboard", ENVIRONMENT]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=30)
        process.stdout.close()
    assert code == 0, "Ctrl-C is how it ends"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with chromium(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture
async def shown(
    load: Load, address: str, browser: str, request: pytest.FixtureRequest
) -> AsyncIterator[Page]:
    async with page(browser) as found:
        await found.open(address)
        await found.until("document.querySelectorAll('#clusters .up').length === 4", BACK_SECONDS)
        yield found
        kept_picture(f"platform-{request.node.name}", await found.picture())
        assert not found.errors


async def test_traffic_moves_and_a_service_is_looked_into(shown: Page) -> None:
    await shown.until("document.querySelectorAll('.link.moving').length >= 2", 20.0)
    await shown.press("j")
    await shown.press("Enter")
    for words in ("ActiveActive to", "hops fine", "Programmed", "/s, p95"):
        await shown.until(f"{DETAIL}.includes('{words}')", 30.0)


async def test_a_policy_that_changes_is_shown(shown: Page, clusters: Clusters, tell: Any) -> None:
    policies = f"document.querySelector('[data-name=\"{NODEAPP}\"]').cells[2].textContent"
    await shown.until(f"{policies}.includes('ActiveActive')")
    try:
        await asyncio.to_thread(clusters.asking, "apply", "-f", "-", stdin=policy("FailOver"))
        began = time.monotonic()
        await shown.until(f"{policies}.includes('FailOver')", CHANGE_SECONDS)
        tell({"shown after": round(time.monotonic() - began, 2)})
    finally:
        await asyncio.to_thread(clusters.asking, "apply", "-f", "-", stdin=policy("ActiveActive"))


async def test_a_cluster_that_is_killed_is_shown(
    shown: Page, clusters: Clusters, load: Load, tell: Any
) -> None:
    began = time.monotonic()
    await asyncio.to_thread(clusters.docker, "kill", NODE)
    try:
        killed = time.monotonic()
        lost = "document.querySelector('#clusters [data-name=cluster-1]:is(.down, .silent)')"
        await shown.until(lost, LOSS_SECONDS)
        tell({"killing took": round(killed - began, 2), "shown after": round(time.monotonic() - killed, 2)})
        await shown.until("document.querySelector('#problems li')?.innerText.includes('cluster-1')", 15.0)
    finally:
        await asyncio.to_thread(clusters.docker, "start", NODE)
    await asyncio.to_thread(
        load.until,
        lambda: load.served("cluster-1", "cluster-3"),
        "the cluster takes part again",
        BACK_SECONDS,
    )
    await shown.until("document.querySelector('#clusters [data-name=cluster-1].up')", 30.0)
