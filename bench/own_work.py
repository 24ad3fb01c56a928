"""What the gateway's own code costs for a request and its answer, step by step, without sockets and loop.

python -m bench.own_work ROUTES ROUNDS prints, as JSON, microseconds of CPU time for each step, one number for
each round. The package `gateway` is whichever stands first on PYTHONPATH.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

from bench.setting import CLUSTER, gateway_objects, paths
from bench.traffic import FIELD_SETS, mixed
from gateway.core.forward import response_head
from gateway.core.limits import Limits
from gateway.core.request import read_request_head
from gateway.core.response import read_response_head
from gateway.core.snapshot import compile_snapshot
from gateway.edge.client import Client
from gateway.edge.downstream import Downstreams
from gateway.edge.metrics import observe
from gateway.edge.registry import Listener, Registry, pool_of
from gateway.edge.runtime import Runtime
from gateway.edge.upstream import Upstream

WHOLE = "whole"
REQUEST_READ, ROUTED, CHOSEN, WRITTEN, ANSWER_READ, PASSED_ON, COUNTED = STEPS = (
    "request read", "routed", "endpoint chosen", "head written", "answer read", "answer passed on", "counted",
)  # fmt: skip
"""What can be done alone; `WHOLE` is all of it, and what is between the steps."""

ANSWER = (
    "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 28 Nov 2026 12:00:00 GMT\r\n"
    "Content-Type: application/json\r\nContent-Length: {size}\r\nConnection: keep-alive\r\n"
    "X-Correlation-Id: {trace}\r\nTraceparent: 00-{trace}-{id}-01\r\n\r\n"
)
"""As the application of the comparison answers (`peers/backend.conf`)."""
BODY = '{"order":"%s","state":"shipped","items":[{"sku":"a-1","count":2}]}\n'
REQUESTS = 3000
"""In one round, no two alike."""
NOW = 1.0


class Loop:
    """Has a time, and nothing to run: all connections are there."""

    def time(self) -> float:
        return NOW

    def call_soon(self, *_: Any) -> None:
        raise AssertionError("a request waits for something, and this measures none that does")


class Transport:
    """Takes what is written and forgets it."""

    def write(self, data: bytes) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        return "127.0.0.1", 1

    def set_write_buffer_limits(self, **_: int) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    resume_reading = close = abort = pause_reading


class Applications:
    """A connection to each service's application, and its answers."""

    def __init__(self, registry: Registry) -> None:
        self.asked: list[Upstream] = []
        """Those that have a request, the last one at the end."""
        for route in registry.snapshot.path_routes():
            pool = pool_of(registry.state(route).clusters[0].endpoints[0])
            upstream = Upstream(pool)
            upstream.connection_made(cast("Any", Asked(self, upstream)))
            upstream.idle_since = NOW
            pool.total += 1
            pool.idle.append(upstream)


class Asked(Transport):
    """The side of an application: notes on which connection a request came."""

    def __init__(self, applications: Applications, upstream: Upstream) -> None:
        self._asked = applications.asked
        self._upstream = upstream

    def write(self, data: bytes) -> None:  # noqa: ARG002
        self._asked.append(self._upstream)


def requests(count: int, asked: Sequence[str]) -> list[bytes]:
    """Real traffic, as the comparison sends it: by turns of all senders, to all paths, no two alike."""
    shapes = mixed(tuple(FIELD_SETS))
    salt, made = os.urandom(8).hex(), []
    for number in range(count):
        shape, path, own = shapes[number % len(shapes)], asked[number * 7 % len(asked)], f"{number:016x}"
        head = shape.text().format(path=path, trace=salt + own, id=own)
        made.append(f"{head}{'x' * shape.body}".encode())
    return made


def answers(count: int) -> list[bytes]:
    """As many, no two alike."""
    bodies = [BODY % os.urandom(16).hex() for _ in range(count)]
    heads = [ANSWER.format(size=len(body), trace=os.urandom(16).hex(), id="b" * 16) for body in bodies]
    return [(head + body).encode() for head, body in zip(heads, bodies, strict=True)]


def round_of(registry: Registry, client: Client, applications: Applications) -> dict[str, float]:
    """Microseconds of CPU of each step, the mean of one round's requests."""
    limits, snapshot = registry.runtime.limits, registry.snapshot
    sent, given = requests(REQUESTS, paths(len(snapshot.path_routes()))), answers(REQUESTS)
    routed = [found for data in sent if (found := registry.read_head(data, 0, by_path=True)) is not None]
    clusters = [one.state.clusters[0] for one in routed if one.state is not None]
    heads = [head for data in given if (head := read_response_head(data, limits)) is not None]
    if not len(clusters) == len(heads) == REQUESTS:
        raise SystemExit("a request of the traffic has no route, or an answer is not read")

    def exchange(number: int) -> None:
        client.data_received(sent[number])
        applications.asked.pop().data_received(given[number])

    def choose(number: int) -> None:
        if (state := routed[number].state) is not None:
            state.pick(NOW)

    def write(number: int) -> None:
        one = routed[number]
        one.aim(clusters[number])
        one.written(clusters[number], client.forwarded_fields(one.head), b"")

    read = _timed(lambda number: read_request_head(sent[number], limits))
    return {
        WHOLE: _timed(exchange),
        REQUEST_READ: read,
        ROUTED: _timed(lambda number: registry.read_head(sent[number], 0, by_path=True)) - read,
        CHOSEN: _timed(choose),
        WRITTEN: _timed(write),
        ANSWER_READ: _timed(lambda number: read_response_head(given[number], limits)),
        PASSED_ON: _timed(lambda number: response_head(heads[number], trusted=False)),
        COUNTED: _timed(lambda number: observe(clusters[number], 200, 0.001)),
    }


def _timed(step: Callable[[int], object]) -> float:
    """Microseconds of CPU for one request, without what the loop around it takes."""
    gc.collect()
    gc.freeze()
    began = time.process_time()
    for number in range(REQUESTS):
        step(number)
    done = time.process_time()
    for number in range(REQUESTS):
        _nothing(number)
    return (2 * done - began - time.process_time()) / REQUESTS * 1e6


def _nothing(_number: int) -> None:
    pass


def main(routes: int, rounds: int) -> None:
    objects = json.loads(gateway_objects(routes, 1))["items"]
    runtime = Runtime(cast("Any", Loop()), Limits(), None)
    registry = Registry(runtime, compile_snapshot(objects, CLUSTER).snapshot)
    client = Client(registry, Downstreams(), Listener.NORTH_SOUTH)
    client.connection_made(cast("Any", Transport()))
    applications = Applications(registry)
    measured = [round_of(registry, client, applications) for _ in range(rounds + 1)][1:]  # the first warms up
    json.dump({step: [one[step] for one in measured] for step in measured[0]}, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
