"""Throughput and latency against the peers: one core for the proxy, one for load and application."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import load
from bench.figures import OURS, Result, Row
from bench.programs import BenchError, Running
from bench.setting import UPLOAD, Bench, paths
from bench.starters import about_peers, peers, start_backend, start_gateway

MANY = 10_000
ONE_ROUTE = "gateway, 1 route"
COST, RATE, TAIL = "requests per CPU second", "requests per second", "p99 latency"
TURNS, QUICK_TURNS = 13, 3
SECONDS = 2
"""Of load in one turn: long enough that a stall of ten milliseconds, which any machine has now and then, does
not make the p99; short, because a machine changes its pace, and all are to have the same of it."""

NOTES = (
    (
        "Requests per CPU second is what one core's worth of the proxy can do; requests per second and "
        "latency also hold the load generator and the application, which share the other core."
    ),
    (
        f"A turn is {SECONDS} s of load on each proxy, one after another and each turn in another order; the "
        "first turn warms up and does not count."
    ),
)


@dataclass(frozen=True)
class Case:
    """One kind of load."""

    what: str
    connections: int = 32
    body: str = "small"
    """Of the answer, see `BODIES`."""
    upload: int = 0
    """Bytes of each request's body; none is a GET."""
    routes: int = 1
    log: bool = False
    every_route: bool = False
    turns: int = TURNS
    goal: float = 0.9


CASES = (
    Case("32 connections, small answers", turns=25, goal=1.0),
    Case("1 connection, small answers", connections=1),
    Case("256 connections, small answers", connections=256),
    Case("32 connections, 64 KiB answers", body="64k"),
    Case("32 connections, 1 MiB answers", body="1m"),
    Case("32 connections, 1 KiB request bodies", upload=1024),
    Case("32 connections, 1 MiB request bodies", upload=1024 * 1024),
    Case("32 connections, small answers, access log", log=True),
    Case("10,000 routes, one asked for", routes=MANY),
    Case("10,000 routes, all asked for in turn", routes=MANY, every_route=True),
)
QUICK = tuple(CASES[number] for number in (0, 3, 6, 8))
SAME_GOAL = 0.95
"""10,000 routes against one."""


def measure(bench: Bench) -> Result:
    """Every case, the programs by turns within each; a case starts its own programs."""
    notes = [*NOTES, *about_peers(bench)]
    rows = [row for case in (QUICK if bench.quick else CASES) for row in _case(bench, case, notes)]
    return Result(rows, notes)


def _case(bench: Bench, case: Case, notes: list[str]) -> list[Row]:
    turns = QUICK_TURNS if bench.quick else case.turns
    with ExitStack() as running:
        backend = running.enter_context(start_backend(bench)).port
        proxies = [running.enter_context(start_gateway(bench, backend, case.routes, log=case.log))]
        for starter in peers(bench).values():
            bench.step.update(f"{case.what}: starting")
            proxies.append(running.enter_context(starter(bench, backend, case.routes, log=case.log)))
        if case.routes > 1 and not case.every_route:
            proxies.append(running.enter_context(start_gateway(bench, backend, name=ONE_ROUTE)))
        script = _script(bench, case)
        figures: dict[str, dict[str, list[float]]] = {
            figure: {proxy.name: [] for proxy in proxies} for figure in (COST, RATE, TAIL)
        }
        for turn in range(turns + 1):
            bench.step.update(f"{case.what}: turn {turn} of {turns}" if turn else f"{case.what}: warming up")
            for number in range(len(proxies)):
                proxy = proxies[(turn + number) % len(proxies)]
                sample = one_turn(proxy.name, case.what, partial(_sample, bench, case, proxy, script), notes)
                if turn:  # the first fills caches and pools
                    for figure, value in sample.items():
                        figures[figure][proxy.name].append(value)
    with_one = {figure: samples.pop(ONE_ROUTE) for figure, samples in figures.items() if ONE_ROUTE in samples}
    alone = {figure: {OURS: figures[figure][OURS], ONE_ROUTE: taken} for figure, taken in with_one.items()}
    return _rows(case.what, figures, case.goal) + _rows(f"{MANY:,} routes against one", alone, SAME_GOAL)


def _rows(what: str, figures: Mapping[str, Mapping[str, Sequence[float]]], goal: float) -> list[Row]:
    return [
        Row(what=what, figure=figure, more_is_better=figure != TAIL, samples=samples, goal=goal)
        for figure, samples in figures.items()
    ]


def _script(bench: Bench, case: Case) -> Path | None:
    """What wrk needs beyond an address."""
    if not (case.every_route or case.upload):
        return None
    script = bench.folder / "load.lua"
    script.write_text(load.ask_all(paths(case.routes)) if case.every_route else load.upload(case.upload))
    return script


def one_turn(
    name: str, what: str, sample: Callable[[], dict[str, float]], notes: list[str]
) -> dict[str, float]:
    """One sample. A turn without an answer is told and measured once more: half an hour may hang on it."""
    try:
        try:
            return sample()
        except load.NoAnswerError:
            notes.append(f"{name} gave no answer in a turn of {what}; it was measured again.")
            return sample()
    except BenchError as error:
        raise BenchError(f"{name}, {what}: {error}") from error


def _sample(bench: Bench, case: Case, proxy: Running, script: Path | None) -> dict[str, float]:
    before = proxy.cpu_seconds
    kind = UPLOAD if case.upload else case.body
    url = f"http://127.0.0.1:{proxy.port}/service-0{'' if kind == 'small' else '/' + kind}"
    seen = load.run(url, connections=case.connections, seconds=SECONDS, core=bench.load_core, script=script)
    cpu = proxy.cpu_seconds - before
    return {COST: seen.requests / cpu, RATE: seen.requests / seen.seconds, TAIL: seen.p99}
