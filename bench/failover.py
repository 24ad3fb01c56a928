"""Failover: requests lost when a cluster dies under load, and seconds until no request is sent there.

On loopback: two clusters, each a gateway that exports a service, and between them and the callers the gateway
that imports it, or a peer. Under load one of the two is killed (its address refuses) or stopped (its address
is silent, the worse case).
"""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from bench.callers import HOST, PATH, Caller, Starter, starters
from bench.figures import Result, Row
from bench.programs import Running
from bench.setting import Bench
from bench.starters import about_peers, start_backend, start_gateway

CALLERS = 8
BEFORE_SECONDS = 2.0
AFTER_SECONDS = 8.0
POLL_SECONDS = 0.02
TURNS = 3
ENDINGS = {"killed": signal.SIGKILL, "silent": signal.SIGSTOP}
LOST, LEFT_OUT, SLOWEST = "requests lost", "left out after", "slowest request"
UNITS = {LOST: "", LEFT_OUT: "s", SLOWEST: "s"}

WATCHED = f"{AFTER_SECONDS:g} s"
NOTES = (
    f"{CALLERS} callers, each asking again as soon as it is answered; GET; both clusters share the load.",
    (
        f"{WATCHED} are watched: a peer that is not left out by then counts as much. Each says so itself: "
        "the gateway and Traefik over their admin ports, HAProxy over its socket, nginx in its log."
    ),
    (
        "The peers have health checks, retries and timeouts as their documentation advises (`bench/peers`). "
        "Open source nginx has no health checks of its own; Traefik never sends a request again that a "
        "server may have begun to read."
    ),
)


@dataclass
class Seen:
    """What the callers saw."""

    answered: int = 0
    lost: int = 0
    """Requests without an answer, or with one other than 200."""
    slowest: float = 0.0
    """Seconds."""
    stop: bool = False
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


def measure(bench: Bench) -> Result:
    """A cluster that is killed and one that falls silent, several times each, all proxies by turns."""
    turns = 1 if bench.quick else TURNS
    rows: list[Row] = []
    for ending, number in ENDINGS.items():
        figures: dict[str, dict[str, list[float]]] = {figure: {} for figure in UNITS}
        for turn in range(turns):
            for name, starter in starters(bench).items():
                bench.step.update(f"cluster {ending}, {name}, {turn + 1} of {turns}")
                seen, seconds = _die(bench, starter, number)
                for figure, value in ((LOST, seen.lost), (LEFT_OUT, seconds), (SLOWEST, seen.slowest)):
                    figures[figure].setdefault(name, []).append(value)
        rows += [
            Row(what=f"one of two clusters {ending} under load", figure=figure, more_is_better=False,
                samples=samples, unit=UNITS[figure], compared=False)
            for figure, samples in figures.items()
        ]  # fmt: skip
    return Result(rows, [*NOTES, *about_peers(bench)])


def _die(bench: Bench, starter: Starter, number: signal.Signals) -> tuple[Seen, float]:
    with ExitStack() as running:
        backend = running.enter_context(start_backend(bench)).port
        members = [
            running.enter_context(start_gateway(bench, backend, name=f"member-{one}")) for one in (1, 2)
        ]
        for member in members:  # a stopped one must go on to be able to end
            running.callback(member.process.send_signal, signal.SIGCONT)
        caller = starter(bench, [member.port for member in members])
        running.enter_context(caller.program)
        return asyncio.run(_watch(caller, members[0], number))


async def _watch(caller: Caller, victim: Running, number: signal.Signals) -> tuple[Seen, float]:
    seen = Seen()
    seen.tasks = [asyncio.create_task(_call(caller.program.port, seen)) for _ in range(CALLERS)]
    await asyncio.sleep(BEFORE_SECONDS)
    seen.slowest = 0.0
    victim.process.send_signal(number)
    died = time.monotonic()
    detected = AFTER_SECONDS
    while time.monotonic() - died < AFTER_SECONDS:
        if detected == AFTER_SECONDS and await caller.ejected(victim.port):
            detected = time.monotonic() - died
        await asyncio.sleep(POLL_SECONDS)
    seen.stop = True
    await asyncio.gather(*seen.tasks)
    return seen, detected


async def _call(port: int, seen: Seen) -> None:
    """Ask, again and again, over one connection as long as it lives."""
    writer: asyncio.StreamWriter | None = None
    while not seen.stop:
        asked = time.monotonic()
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET {PATH} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
            )
            await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            seen.lost += 1
            if writer is not None:
                writer.close()
            writer = None
            continue
        seen.slowest = max(seen.slowest, time.monotonic() - asked)
        if head.startswith(b"HTTP/1.1 200 "):
            seen.answered += 1
        else:
            seen.lost += 1
    if writer is not None:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
