"""What a request costs in CPU time: all programs, in the kernel and above it, and the gateway by steps."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import load
from bench.commands import complete
from bench.figures import OURS, Result, Row
from bench.own_work import (
    ANSWER_READ,
    CHOSEN,
    COUNTED,
    PASSED_ON,
    REQUEST_READ,
    ROUTED,
    STEPS,
    WHOLE,
    WRITTEN,
)
from bench.programs import Running, interpreter, pinned
from bench.setting import Bench, paths
from bench.starters import about_peers, peers, start_backend, start_gateway
from bench.traffic import FIELD_SETS, mixed, unlike

ROUTES, CONNECTIONS, SECONDS = 1000, 32, 2
TURNS, QUICK_TURNS = 9, 2
ALL, KERNEL, PROGRAM = "all of it", "in the kernel", "in the program"
TRAFFIC = f"a request and its answer, real traffic, {CONNECTIONS} connections"
OWN = "the gateway's own code, alone"
WHY: Mapping[str, tuple[str, str]] = {
    WHOLE: (OWN, "all of the following"),
    REQUEST_READ: ("the request's head read", "each byte looked at once, by `_scan.c`; an object of it"),
    ROUTED: ("its route found", "by path among all routes; its timeouts, and where attempts begin"),
    CHOSEN: ("an endpoint chosen", "turns by weight, without the ejected ones and those tried"),
    WRITTEN: ("the head written", "what goes on as it stands, and who asked: one join"),
    ANSWER_READ: ("the answer's head read", "together with the body behind it, in one piece"),
    PASSED_ON: ("the answer passed on", "as it came, unless something has to be taken out"),
    COUNTED: ("counted", "status and latency, by service and cluster"),
}  # fmt: skip
"""By step: what it is, and why it is there."""
BETWEEN = (
    "between these",
    "an exchange begun and ended, a connection taken and given back, deadlines, memory counted",
)
ABOVE = (
    "uvloop, and everything less at hand",
    "reads, writes and events; caches that kernel and loop have emptied",
)

NOTES = (
    (
        f"Real traffic as above, over {ROUTES:,} services, in turns of {SECONDS} s, one program after "
        "another; kernel and program as the kernel tells them apart."
    ),
    (
        "The gateway's own code alone: the same traffic without sockets and event loop, in the same compiled "
        "package, each step again and again. So it has the core's caches to itself: in traffic each takes "
        "longer, and that difference stands in the last line with uvloop."
    ),
)


def measure(bench: Bench) -> Result:
    """Real traffic through all programs by turns, then the gateway's code by itself."""
    turns = QUICK_TURNS if bench.quick else TURNS
    with ExitStack() as running:

        def application(proxy: str) -> int:
            return running.enter_context(start_backend(bench, f"application-{proxy}")).port

        bench.step.update("starting")
        proxies = [running.enter_context(start_gateway(bench, application(OURS), ROUTES))]
        for name, starter in peers(bench).items():
            proxies.append(running.enter_context(starter(bench, application(name), ROUTES)))
        spent: dict[str, list[tuple[float, float]]] = {proxy.name: [] for proxy in proxies}
        for turn in range(turns + 1):
            bench.step.update(f"turn {turn} of {turns}" if turn else "warming up")
            for number in range(len(proxies)):
                proxy = proxies[(turn + number) % len(proxies)]
                taken = _per_request(bench, proxy)
                if turn:
                    spent[proxy.name].append(taken)
    bench.step.update("the gateway's own code, alone")
    return Result(rows(spent, _alone(bench, turns)), [*NOTES, *about_peers(bench)])


def rows(
    spent: Mapping[str, Sequence[tuple[float, float]]], alone: Mapping[str, Sequence[float]]
) -> list[Row]:
    """`spent`: microseconds in the kernel and in the program, by program and turn. `alone`: by step. Pure."""
    kernel = {name: [turn[0] for turn in turns] for name, turns in spent.items()}
    program = {name: [turn[1] for turn in turns] for name, turns in spent.items()}
    both = {name: [sum(turn) for turn in turns] for name, turns in spent.items()}
    own = zip(*(alone[step] for step in STEPS), strict=True)
    between = [whole - sum(steps) for whole, steps in zip(alone[WHOLE], own, strict=True)]
    above = [taken - whole for taken, whole in zip(program[OURS], alone[WHOLE], strict=True)]
    return [
        _row(TRAFFIC, ALL, both),
        _row(TRAFFIC, KERNEL, kernel),
        _row(TRAFFIC, PROGRAM, program),
        *(_row(*WHY[step], {OURS: alone[step]}) for step in (WHOLE, *STEPS)),
        _row(*BETWEEN, {OURS: between}),
        _row(*ABOVE, {OURS: above}),
    ]


def _row(what: str, figure: str, samples: Mapping[str, Sequence[float]]) -> Row:
    return Row(what=what, figure=figure, more_is_better=False, unit="µs", compared=False, samples=samples)


def _per_request(bench: Bench, proxy: Running) -> tuple[float, float]:
    """Microseconds of a request in the kernel, and in the program."""
    script = bench.folder / "load.lua"
    script.write_text(unlike(mixed(tuple(FIELD_SETS)), paths(ROUTES)))
    user, system = user_and_system(proxy.process.pid)
    url = f"http://127.0.0.1:{proxy.port}/service-0"
    seen = load.run(url, connections=CONNECTIONS, seconds=SECONDS, core=bench.load_core, script=script)
    now = user_and_system(proxy.process.pid)
    return (now[1] - system) / seen.requests * 1e6, (now[0] - user) / seen.requests * 1e6


def user_and_system(process: int) -> tuple[float, float]:
    """Seconds of CPU so far of all its threads, see proc_pid_stat(5)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / ticks, int(fields[12]) / ticks


def _alone(bench: Bench, rounds: int) -> dict[str, list[float]]:
    argv = pinned(bench.proxy_core, [interpreter(), "-m", "bench.own_work", str(ROUTES), str(rounds)])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([bench.environment["PYTHONPATH"], str(bench.root)])}
    found: dict[str, list[float]] = json.loads(complete(argv, cwd=bench.folder, env=env))
    return found
