"""Of several hubs one writes: what a candidate makes of the Lease, and elections against an API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from proxy.kube.mini_api import MiniApi

from gateway.kube.client import KubeClient
from gateway.kube.client_config import from_kubeconfig
from gateway.kube.lease import Claim, Elected
from gateway.kube.timing import LeaseTiming

WALL = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LEASE = ("leases", "system", "hub")
LEASE_SECONDS = LeaseTiming().lease
SHORT = LeaseTiming(lease=2.0, give_up=0.5, renew=0.02)
PATIENT = LeaseTiming(lease=60.0, give_up=40.0, renew=20.0)


def held_by(holder: str, version: str = "7") -> dict[str, Any]:
    return {
        "metadata": {"resourceVersion": version},
        "spec": {"holderIdentity": holder, "leaseTransitions": 3},
    }


def test_a_lease_nobody_holds_is_taken() -> None:
    claim = Claim("system", "hub", "me", LEASE_SECONDS)
    for free in (None, held_by("")):
        body = claim.body(free, 0.0, WALL)
        assert body is not None
        assert body["spec"]["holderIdentity"] == "me"
        assert body["spec"]["renewTime"] == "2026-01-02T03:04:05.000000Z"


def test_ones_own_lease_is_renewed_without_counting_as_a_change() -> None:
    body = Claim("system", "hub", "me", LEASE_SECONDS).body(held_by("me"), 0.0, WALL)
    assert body is not None
    assert body["metadata"]["resourceVersion"] == "7"
    assert "leaseTransitions" not in body["spec"]


def test_somebody_elses_lease_is_taken_only_after_it_stood_still() -> None:
    claim = Claim("system", "hub", "me", LEASE_SECONDS)
    assert claim.body(held_by("other"), 100.0, WALL) is None, "however old it is: this is the first look"
    assert claim.body(held_by("other"), 99.0 + LEASE_SECONDS, WALL) is None
    assert claim.body(held_by("other", "8"), 100.0 + LEASE_SECONDS, WALL) is None, "it was renewed"
    assert claim.body(held_by("other", "8"), 99.0 + 2 * LEASE_SECONDS, WALL) is None
    body = claim.body(held_by("other", "8"), 100.0 + 2 * LEASE_SECONDS, WALL)
    assert body is not None
    assert body["spec"]["leaseTransitions"] == 4


class Hubs:
    """Candidates against one API, and who of them works."""

    def __init__(self) -> None:
        self.api = MiniApi()
        self.working: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str) -> None:
        self.tasks[name] = asyncio.create_task(self._run(name))

    async def _run(self, name: str) -> None:
        async with KubeClient(from_kubeconfig(self.api.kubeconfig()), field_manager=name) as client:
            await Elected(client, "system", "hub", name, SHORT).run(lambda: self._work(name))

    async def _work(self, name: str) -> None:
        assert not self.working, "two never work at once"
        self.working.append(name)
        try:
            await asyncio.Event().wait()
        finally:
            self.working.remove(name)

    async def stop(self, name: str) -> None:
        task = self.tasks.pop(name)
        task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(result, asyncio.CancelledError), result

    async def expect(self, *names: str) -> None:
        await self.until(lambda: self.working == list(names))

    async def until(self, check: Callable[[], bool]) -> None:
        async with asyncio.timeout(8):
            while not check():  # noqa: ASYNC110  what is awaited is the result
                await asyncio.sleep(0.005)


@pytest.fixture
async def hubs() -> AsyncIterator[Hubs]:
    found = Hubs()
    await found.api.start()
    yield found
    for name in list(found.tasks):
        await found.stop(name)
    await found.api.stop()


async def test_one_works_and_the_next_follows_at_once_when_it_ends(hubs: Hubs) -> None:
    hubs.start("a")
    await hubs.expect("a")
    hubs.start("b")
    await hubs.until(lambda: hubs.api.callers["b"] > 2)
    assert hubs.working == ["a"], "b has looked at the Lease and stands by"
    await hubs.stop("a")
    await hubs.expect("b")
    assert hubs.api.objects[LEASE]["spec"]["holderIdentity"] == "b"


async def test_one_that_cannot_renew_stops_and_takes_the_lease_again_later(hubs: Hubs) -> None:
    hubs.start("a")
    await hubs.expect("a")
    await hubs.api.stop()
    await hubs.expect()
    await hubs.api.start()
    await hubs.expect("a")


async def test_one_that_sees_another_in_its_place_stops(hubs: Hubs) -> None:
    hubs.start("a")
    await hubs.expect("a")
    await hubs.api.put("leases", "system", "hub", spec={"holderIdentity": "stranger"})
    await hubs.expect()
    await hubs.expect("a")  # the stranger never renews


async def test_a_defect_in_the_work_is_not_hidden(hubs: Hubs) -> None:
    async def fail() -> None:
        raise RuntimeError("a defect")

    async with KubeClient(from_kubeconfig(hubs.api.kubeconfig()), field_manager="x") as client:
        with pytest.raises(ExceptionGroup, match="unhandled errors") as failed:
            await Elected(client, "system", "hub", "x", PATIENT).run(fail)
    assert "a defect" in repr(failed.value.exceptions)
    assert hubs.api.objects[LEASE]["spec"]["holderIdentity"] == "", "it is given back"
