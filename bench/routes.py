"""What ten thousand exported and imported services cost a gateway, against ten in the same run.

python -m bench.routes [SERVICES]

A request: CPU time from its head's bytes to the route, for paths and for hosts. A new configuration: CPU time
to compile it. How late the event loop is while a thread does so, while a gateway that has used every route
takes another configuration, looks for health checks that are due or puts its metrics together, against how
late it is anyway. The garbage collector's longest pause in all of that, in CPU time.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from gateway.core.limits import Limits
from gateway.core.request import parse_request_head
from gateway.core.route import Route
from gateway.core.snapshot import Snapshot, compile_snapshot
from gateway.edge.garbage import undisturbed
from gateway.edge.healthcheck import HealthChecker
from gateway.edge.metrics import observe
from gateway.edge.server import GatewayServer
from gateway.process import SWITCH_SECONDS

FEW = 10
MANY = 10_000
CALLS = 20_000
KEY = "default/default/default/here"


def objects(services: int) -> list[dict[str, Any]]:
    """Everything of so many services: exported here, imported from three clusters, with a policy."""
    return [item for number in range(services) for item in _service(number)]


def _service(number: int) -> list[dict[str, Any]]:
    metadata = {"name": f"service-{number}", "namespace": f"team-{number % 50}"}
    path = f"/service-{number}"
    keys = [f"default/default/default/member-{member}" for member in (1, 2, 3)]
    target = {"host": "gateway", "ip": "172.28.0.1", "path": path}
    endpoints = [{"clusterKey": key, "target": {**target, "port": 81 + at}} for at, key in enumerate(keys)]
    pod = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    labels = {"kubernetes.io/service-name": metadata["name"]}
    rule = {"path": path, "pathType": "Prefix", "portNumber": 80}
    rewrite = {"from": f"^{path}/?", "to": "/"}
    return [
        {"kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 80, "name": "http"}]}},
        {
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [pod]}],
            "ports": [{"name": "http", "port": 8080}],
        },
        {"kind": "ServiceExport", "metadata": metadata, "spec": {"rules": [rule], "pathRewrite": rewrite}},
        {
            "kind": "ServiceImport",
            "metadata": metadata,
            "spec": {"ports": [{"port": 80, "endpoints": endpoints}]},
        },
        {
            "kind": "GlobalTrafficPolicy",
            "metadata": metadata,
            "spec": {"lbType": "ActiveActive", "targets": [{"clusterKey": key} for key in keys]},
        },
    ]


def cpu_seconds(work: Callable[[], object], times: int) -> float:
    """CPU time of one call, the least of five rounds."""
    rounds = []
    for _ in range(5):
        started = time.process_time()
        for _ in range(times):
            work()
        rounds.append((time.process_time() - started) / times)
    return min(rounds)


def request_costs(snapshot: Snapshot) -> tuple[float, float]:
    """CPU seconds of reading and routing one request by path, and one by host, without the head cache."""
    limits = Limits()
    head = b"GET /service-7/orders/1?x=1 HTTP/1.1\r\nHost: service-7.team-7:80\r\nAccept: */*\r\n\r\n"

    def by_path() -> Route | None:
        return snapshot.paths.find(parse_request_head(head, limits).target)

    def by_host() -> Route | None:
        return snapshot.hosts.find(parse_request_head(head, limits).host)

    if by_path() is None or by_host() is None:
        raise SystemExit("there is no route for the request that is measured")
    return cpu_seconds(by_path, CALLS), cpu_seconds(by_host, CALLS)


async def lateness(work: Awaitable[object], at_least: float = 1.0) -> list[float]:
    """By how many seconds one-millisecond timers are late during `work`, and until `at_least` is over."""
    task = asyncio.ensure_future(work)
    late = []
    began = time.perf_counter()
    while time.perf_counter() - began < at_least or not task.done():
        started = time.perf_counter()
        await asyncio.sleep(0.001)
        late.append(time.perf_counter() - started - 0.001)
    await task
    return late


async def beside(snapshot: Snapshot, everything: list[dict[str, Any]]) -> None:
    """Print how late the loop of a gateway is that has sent requests for each service to each cluster."""
    server = GatewayServer(cluster_key=KEY, listen="127.0.0.1:0")
    server.swap(snapshot)
    await server.start()
    registry = server.registry
    for route in snapshot.host_routes():
        for cluster in registry.state(route).clusters:
            observe(cluster, 200, 0.01)
    gc.collect()
    gc.freeze()
    pauses = Pauses()
    gc.callbacks.append(pauses)
    for what, work in (
        ("nothing", asyncio.sleep(0)),
        ("the compilation of a configuration", asyncio.to_thread(compile_apart, everything)),
        ("the taking of another configuration", another(server, everything)),
        ("a round of health checks", HealthChecker(registry).round()),
        ("the making of the metrics", server.metrics()),
    ):
        late = await lateness(work)
        print(f"event loop beside {what}: a timer is late by {statistics.median(late) * 1e3:.2f} ms in the "
              f"median, by {max(late) * 1e3:.1f} ms at worst, of {len(late)}")  # fmt: skip
    longest = max(pauses.all) * 1e3
    print(f"garbage collection in all of that: {len(pauses.all) - 1} times, {longest:.2f} ms of CPU at most")
    await server.drain(0.0)


async def another(server: GatewayServer, everything: list[dict[str, Any]]) -> None:
    """The server takes the same configuration, compiled again, and uses every route of it."""
    server.swap(await asyncio.to_thread(compile_apart, everything))
    for number, route in enumerate(server.registry.snapshot.host_routes()):
        server.registry.state(route)
        if not number % 20:
            await asyncio.sleep(0)


def compile_apart(everything: list[dict[str, Any]]) -> Snapshot:
    """As a gateway does it."""
    with undisturbed():
        return compile_snapshot(everything, KEY).snapshot


class Pauses:
    """The garbage collector's pauses, in seconds of its thread's CPU time."""

    def __init__(self) -> None:
        self.all: list[float] = [0.0]
        self._began = 0.0

    def __call__(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.thread_time()
        else:
            self.all.append(time.thread_time() - self._began)


def main(many: int) -> None:
    sys.setswitchinterval(SWITCH_SECONDS)
    few_costs = request_costs(compile_snapshot(objects(FEW), KEY).snapshot)
    everything = objects(many)
    many_costs = request_costs(compile_snapshot(everything, KEY).snapshot)
    for what, few, of_many in zip(("path", "host"), few_costs, many_costs, strict=True):
        print(
            f"request by {what}: {few * 1e6:.2f} us of CPU with {FEW} services, "
            f"{of_many * 1e6:.2f} us with {many}: ratio {of_many / few:.2f}"
        )
    gc.collect()
    gc.freeze()
    seconds = cpu_seconds(lambda: compile_apart(everything), 1)
    print(f"configuration of {many} services: {seconds:.2f} s of CPU, in a thread")
    uvloop.run(beside(compile_snapshot(everything, KEY).snapshot, everything))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else MANY)
