"""A gateway of many services: what it does beside requests does not hold them up, and leaves nobody out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from gateway.core.snapshot import compile_snapshot
from gateway.edge.metrics import observe

MANY = 1_000
SERIES = 3 * MANY
"""One of each service for each cluster: this one and two others."""


async def turns_during(work: Awaitable[Any]) -> tuple[int, Any]:
    """How often the loop came round while it was done, and its result."""
    task = asyncio.ensure_future(work)
    turns = 0
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    return turns, task.result()


@pytest.fixture
async def busy(net: Any, make: Any) -> Any:
    """A gateway that has sent requests for each of many services to each cluster."""
    names = [f"app-{number}" for number in range(MANY)]
    imports = [make.imported(name, path=f"/{name}", c1=9, c2=9) for name in names]
    policies = [make.policy("ActiveActive", name) for name in names]
    _, _, server = await net.gateway(*imports, *policies)
    for route in server.registry.snapshot.host_routes():
        for cluster in server.registry.state(route).clusters:
            observe(cluster, 200, 0.01)
    return server


async def test_requests_have_their_turn_while_metrics_are_put_together(busy: Any) -> None:
    turns, page = await turns_during(busy.metrics())
    assert turns > 10
    assert page.text.count('code="200"} 1\n') == SERIES
    assert page.text.count('le="+Inf"} 1\n') == SERIES


async def test_requests_have_their_turn_while_the_configuration_is_described(busy: Any) -> None:
    turns, page = await turns_during(busy.config())
    assert turns > 10
    assert page.text.count('"where": "app-') == MANY


async def test_requests_have_their_turn_while_routes_are_forgotten(busy: Any, make: Any) -> None:
    registry = busy.registry
    before = (await busy.metrics()).text
    busy.swap(compile_snapshot([], make.key("here")).snapshot)
    turns, _ = await turns_during(registry.forget())
    assert turns > 10
    assert (registry.states(), registry.health, registry.pools) == ([], {}, {})
    counters = [line for line in before.splitlines() if line.startswith("gateway_requests_total")]
    assert set(counters) <= set((await busy.metrics()).text.splitlines()), "counters must never fall"


async def test_routes_that_go_while_metrics_are_put_together_are_counted_once(busy: Any, make: Any) -> None:
    making = asyncio.ensure_future(busy.metrics())
    await asyncio.sleep(0)
    busy.swap(compile_snapshot([], make.key("here")).snapshot)
    await busy.registry.forget()
    assert (await making).text.count('code="200"} 1\n') == SERIES


async def test_an_endpoint_is_forgotten_with_the_last_route_to_it(net: Any, make: Any, ok: Any) -> None:
    app = await net.app(lambda _head, _body: ok())
    local = make.service(), make.slice("127.0.0.1", port=app)
    twin = (
        make.service("twin"),
        make.slice("127.0.0.1", name="twin", port=app),
        make.export("twin", path="/b"),
    )
    port, _, server = await net.gateway(*local, make.export(path="/a"), *twin)
    registry = server.registry
    for path in ("/a", "/b"):
        assert (await net.ask(port, path))[0] == 200
    users = {service: health.users for (service, _), health in registry.health.items()}
    assert users == {"demo/app": 1, "demo/twin": 1}
    server.swap(compile_snapshot([*local, make.export(path="/a")], make.key("here")).snapshot)
    await registry.forget()
    assert [service for service, _ in registry.health] == ["demo/app"]
    assert (await net.ask(port, "/a"))[0] == 200
    server.swap(compile_snapshot([], make.key("here")).snapshot)
    await registry.forget()
    assert not registry.health
    pools = list(registry.pools.values())
    assert all(pool.idle for pool in pools), "their connections may still be open"
    for pool in pools:
        pool.close_idle()
    await net.until(lambda: not any(pool.total for pool in pools))
    await registry.forget()
    assert not registry.pools


async def test_with_more_services_in_use_than_checks_at_a_time_each_is_asked_in_its_turn(
    net: Any, make: Any, ok: Any
) -> None:
    # So many that the first are due again before the last have been asked.
    names = [f"app-{number}" for number in range(300)]
    checked = set()

    def answer(head: bytes, _body: bytes) -> bytes:
        if b"X-Gateway-Probe" in head:
            checked.add(head.split()[1].decode())
        return bytes(ok())

    remote = await net.app(answer)
    imports = [make.imported(name, path=f"/{name}", c1=remote) for name in names]
    policies = [make.policy("ActiveActive", name) for name in names]
    _, port, _ = await net.gateway(*imports, *policies)
    for name in names:
        assert (await net.ask(port, host=f"{name}.demo:3000"))[0] == 200
    await net.until(lambda: len(checked) == len(names))
