"""What a hop costs: latency and CPU of a call through gateways and sidecars, against a direct one."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench import load
from bench.chain import (
    CALLEE,
    CALLER,
    CALLERS_GATEWAY,
    LOCAL_ID,
    OTHER_GATEWAY,
    Chain,
    start_chain,
)
from bench.commands import complete
from bench.figures import Result, percentile
from bench.hop_objects import NAMESPACE, REMOTE_ID
from bench.hop_rows import DIRECT, Turn, rows
from bench.programs import BenchError, pinned
from bench.quiet import Quiet
from bench.setting import Bench

RATE, CONNECTIONS = 200, 4
TURNS, QUICK_TURNS = 15, 3
SECONDS, QUICK_SECONDS = 4, 2
LOAD_SECONDS = 1
SETTLE_SECONDS = 0.2
"""After the last call, until gateways have counted those that were broken off."""
TARGET = "/orders/1"

NOTES = (
    (
        "Direct: to the application. Taken over: by a service port of the caller's gateway, which sends "
        "it to a pod of its own cluster; callers of a local Service's name get this while it is taken "
        "over. Other cluster: by an imported Service, through a gateway of each cluster, with mutual TLS "
        "between the two, as is the default. App-id, other cluster: the same, called by app-id at a "
        "sidecar that has an HTTPEndpoint. App-id, Dapr's own: from sidecar to sidecar within a cluster, "
        "in the clear."
    ),
    (
        f"Latency is of {RATE} GET calls a second with small answers, one after another over {CONNECTIONS} "
        "connections that stay open. Each has a `traceparent` and an `X-Request-Id` of its own, as "
        "programs send them: no head is met twice. A call that was due while the one before was under way "
        "counts from when it was due."
    ),
    (
        f"A turn is {SECONDS} s of each way at that pace and {LOAD_SECONDS} s as fast as it goes, one way "
        "after another and each turn in another order; the first turn warms up and does not count. What "
        "is added is the difference of two percentiles of one turn: that of p99 is one of two worst "
        "cases, and varies most."
    ),
    (
        "All is on loopback: a hop to another node or cluster takes its round trip in addition. Gateways "
        "write their access log, as they do by default. Sidecars are without mTLS and send no traces. A "
        "sidecar keeps two connections to an HTTPEndpoint open; at full load it opens and closes others "
        "all the time, which the gateways pay for as well."
    ),
    (
        "Gateways and sidecars run on one core, caller and application on the other. A sidecar has one "
        "thread for its code; with more its p99 is less and its CPU more. At "
        f"{RATE} calls a second a process wakes up for each one, after others have had the core and its "
        "caches: so a call costs more than at full load, the more so on a busy machine. What a process uses "
        "by itself, while the direct calls of the turn pass it by, is taken off."
    ),
    (
        "That calls took their way is checked in each turn: the gateways' own counts grow by the calls of "
        "the ways that lead through them, and by no other."
    ),
)


@dataclass(frozen=True)
class Way:
    """One way to the application."""

    name: str
    port: int
    host: str
    through: Sequence[str] = ()
    """The programs on it, see `chain`."""
    target: str = TARGET


def ways(chain: Chain) -> list[Way]:
    """Those that can be measured here: by app-id only with sidecars."""
    both = (CALLERS_GATEWAY, OTHER_GATEWAY)
    found = [
        Way(DIRECT, chain.application, f"local.{NAMESPACE}"),
        Way("taken over", chain.local, f"local.{NAMESPACE}", (CALLERS_GATEWAY,)),
        Way("other cluster", chain.remote, f"remote.{NAMESPACE}", both),
    ]
    if CALLER in chain.programs:
        sidecar = chain.programs[CALLER].port
        host = f"127.0.0.1:{sidecar}"
        invoke = "/v1.0/invoke/{}/method" + TARGET
        found += [
            Way("app-id, other cluster", sidecar, host, (CALLER, *both), invoke.format(REMOTE_ID)),
            Way("app-id, Dapr's own", sidecar, host, (CALLER, CALLEE), invoke.format(LOCAL_ID)),
        ]
    return found


def measure(bench: Bench) -> Result:
    """All ways by turns, in front of the same application."""
    turns = QUICK_TURNS if bench.quick else TURNS
    machine = Quiet()
    with ExitStack() as running:
        bench.step.update("starting gateways and sidecars")
        chain = start_chain(bench, running)
        found = ways(chain)
        seen: dict[str, list[Turn]] = {way.name: [] for way in found}
        for turn in range(turns + 1):
            for number in range(len(found)):
                way = found[(turn + number) % len(found)]
                bench.step.update(f"turn {turn} of {turns}: {way.name}")
                taken = _turn(bench, chain, way)
                if turn:  # the first fills caches and pools
                    seen[way.name].append(taken)
    reason = bench.absent.get("daprd")
    absent = [f"Not measured: calls by app-id, for daprd is absent: {reason}"] if reason else []
    through = {way.name: way.through for way in found}
    return Result(rows(seen, through), [*NOTES, machine.told(), *absent])


def _turn(bench: Bench, chain: Chain, way: Way) -> Turn:
    """BenchError when a call failed, or went another way."""
    paced: list[float] = []
    loads: list[load.Load] = []
    script = bench.folder / "unlike.lua"
    script.write_text(load.unlike(way.host, way.target))
    url = f"http://127.0.0.1:{way.port}"

    def at_pace() -> int:
        seconds = QUICK_SECONDS if bench.quick else SECONDS
        argv = [sys.executable, "-m", "bench.paced", str(way.port), way.target, "--host", way.host]
        options = [f"--rate={RATE}", f"--connections={CONNECTIONS}", f"--seconds={seconds}"]
        paced.extend(json.loads(complete(pinned(bench.load_core, [*argv, *options]), cwd=bench.root)))
        return len(paced) + CONNECTIONS

    def at_full_load() -> int:
        core = bench.load_core
        loads.append(load.run(url, connections=CONNECTIONS, seconds=LOAD_SECONDS, core=core, script=script))
        return loads[0].requests

    costs = [_costs(chain, way, work) for work in (at_pace, at_full_load)]
    return Turn(percentile(paced, 50) * 1e6, percentile(paced, 99) * 1e6, *costs)


def _costs(chain: Chain, way: Way, work: Callable[[], int]) -> dict[str, float]:
    """CPU of each program per call, in microseconds. `work` makes calls and says how many."""
    served = chain.served()
    before = {name: program.cpu_seconds for name, program in chain.programs.items()}
    calls = work()
    after = {name: program.cpu_seconds for name, program in chain.programs.items()}
    time.sleep(SETTLE_SECONDS)
    for name, count in chain.served().items():
        passed, most = count - served[name], calls + CONNECTIONS  # wrk does not count those it breaks off
        if not (calls <= passed <= most if name in way.through else passed == 0):
            raise BenchError(f"{way.name}: {passed} of {calls} calls went through {name}")
    return {name: (after[name] - before[name]) / calls * 1e6 for name in before}
