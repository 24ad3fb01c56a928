"""Throughput and latency against nginx and HAProxy: one core for the proxy, one for load and application."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import load
from bench.figures import Result, Row
from bench.programs import Running
from bench.setting import Bench, paths, peers, start_backend, start_gateway

MANY = 10_000
ONE_ROUTE = "gateway, 1 route"
COST, RATE, TAIL = "requests per CPU second", "requests per second", "p99 latency"

COST_NOTE = """\
Requests per CPU second is what one core's worth of the proxy can do; requests per second and latency also
hold the load generator and the application, which share the other core."""


@dataclass(frozen=True)
class Case:
    """One kind of load."""

    what: str
    connections: int = 32
    body: str = "small"
    routes: int = 1
    log: bool = False
    every_route: bool = False


CASES = (
    Case("32 connections, small answers"),
    Case("1 connection, small answers", connections=1),
    Case("256 connections, small answers", connections=256),
    Case("32 connections, 64 KiB answers", body="64k"),
    Case("32 connections, 1 MiB answers", body="1m"),
    Case("32 connections, small answers, access log", log=True),
    Case("10,000 routes, one asked for", routes=MANY),
    Case("10,000 routes, all asked for in turn", routes=MANY, every_route=True),
)
QUICK = CASES[:1] + CASES[3:4] + CASES[6:7]


def measure(bench: Bench) -> Result:
    """Every case, the programs by turns within each; a case starts its own programs."""
    rows: list[Row] = []
    rounds = 3 if bench.quick else 7
    for case in QUICK if bench.quick else CASES:
        rows += _case(bench, case, rounds)
    notes = [COST_NOTE]
    missing = {"nginx", "haproxy"} - set(peers())
    if missing:
        notes.append(f"Not installed, so not compared: {', '.join(sorted(missing))}.")
    notes.append(
        "Traefik is not compared: Debian has no package of it, and its Go module is not built here yet."
    )
    return Result(rows, notes)


def _case(bench: Bench, case: Case, rounds: int) -> list[Row]:
    with ExitStack() as running:

        def keep(program: Running) -> Running:
            running.callback(program.stop)
            return program

        backend = keep(start_backend(bench)).port
        proxies = [keep(start_gateway(bench, backend, case.routes, log=case.log))]
        proxies += [keep(one(bench, backend, case.routes, log=case.log)) for one in peers().values()]
        if case.routes > 1 and not case.every_route:
            proxies.append(keep(start_gateway(bench, backend, name=ONE_ROUTE)))
        script = None
        if case.every_route:
            script = bench.folder / "every-route.lua"
            script.write_text(load.ask_all(paths(case.routes)))
        figures: dict[str, dict[str, list[float]]] = {COST: {}, RATE: {}, TAIL: {}}
        for number in range(rounds + 1):
            bench.step.update(
                f"{case.what}: round {number} of {rounds}" if number else f"{case.what}: warming up"
            )
            for proxy in proxies if number % 2 else proxies[::-1]:
                sample = _sample(bench, case, proxy, script)
                if number:  # the first fills caches and pools
                    for figure, value in sample.items():
                        figures[figure].setdefault(proxy.name, []).append(value)
    return [
        Row(what=case.what, figure=figure, more_is_better=figure != TAIL, samples=samples)
        for figure, samples in figures.items()
    ]


def _sample(bench: Bench, case: Case, proxy: Running, script: Path | None) -> dict[str, float]:
    before = proxy.cpu_seconds
    url = f"http://127.0.0.1:{proxy.port}/service-0{'' if case.body == 'small' else '/' + case.body}"
    seen = load.run(url, connections=case.connections, seconds=1, core=bench.load_core, script=script)
    # A tick of the clock more than nothing, so that a run cut short by a busy machine divides by something.
    cpu = max(proxy.cpu_seconds - before, 0.01)
    return {COST: seen.requests / cpu, RATE: seen.requests / seen.seconds, TAIL: seen.p99}
