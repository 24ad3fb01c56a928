"""What a configuration of many services costs the garbage collector, and those who wait for it."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from gateway.core.snapshot import compile_snapshot
from gateway.edge.garbage import FULL_AFTER, STATES_AT_ONCE, Settled, let_go, pieces_of, settle, undisturbed


@pytest.fixture(autouse=True)
def settled() -> Any:
    yield
    gc.unfreeze()
    Settled.times = 0


def looked_through() -> int:
    """How many objects a full collection looks through."""
    return len(gc.get_objects())


def test_what_was_made_undisturbed_is_not_looked_through(make: Any) -> None:
    objects = [
        item for number in range(50) for item in (make.service(f"a-{number}"), make.export(f"a-{number}"))
    ]
    settle()
    before = looked_through()
    with undisturbed():
        assert not gc.isenabled()
        compiled = compile_snapshot(objects, make.key("here"))
        assert looked_through() > before + 100
    assert gc.isenabled()
    assert looked_through() < before + 100
    assert compiled.exports


def test_now_and_then_everything_is_looked_through() -> None:
    class Ring:
        """Garbage that only a collection finds, and none that is out of sight."""

        alive = 0

        def __init__(self) -> None:
            Ring.alive += 1
            self.itself = self

        def __del__(self) -> None:
            Ring.alive -= 1

    ring = Ring()
    settle()
    del ring
    gc.collect()
    assert Ring.alive == 1
    for _ in range(FULL_AFTER):
        settle()
    assert Ring.alive == 0


def test_a_snapshot_is_let_go_piece_by_piece(make: Any) -> None:
    objects = [make.service(), make.slice("10.0.0.1"), make.export(), make.imported(c1=81)]
    held = [compile_snapshot(objects, make.key("here")).snapshot]
    pieces = pieces_of(held[0])
    assert all(route in pieces for route in held[0].path_routes())
    assert all(any(route in ports.values() for ports in pieces if isinstance(ports, dict))
               for route in held[0].host_routes())  # fmt: skip
    let_go(held)
    assert not held


async def test_states_of_routes_do_not_pile_up_before_the_collector(net: Any, make: Any) -> None:
    many = STATES_AT_ONCE + 50
    names = [f"app-{number}" for number in range(many)]
    _, _, server = await net.gateway(*(make.imported(name, path=f"/{name}", c1=9) for name in names))
    settle()
    times, before = Settled.times, looked_through()
    for route in server.registry.snapshot.host_routes():
        server.registry.state(route)
    assert Settled.times == times + 1
    assert looked_through() < before + 50 * 60


async def test_an_old_configuration_goes_when_another_is_taken(net: Any, make: Any) -> None:
    objects = [make.service(), make.slice("10.0.0.1"), make.export()]
    _, _, server = await net.gateway(*objects)
    gone: list[str] = []

    class Told(dict[Any, Any]):
        def __del__(self) -> None:
            gone.append("paths")

    first = compile_snapshot(objects, make.key("here")).snapshot
    first.paths.prefix = Told(first.paths.prefix)
    server.swap(first)
    del first
    server.swap(compile_snapshot(objects, make.key("here")).snapshot)
    await net.until(lambda: gone == ["paths"])
