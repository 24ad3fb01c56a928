"""What a cluster's sudden death costs its callers: requests lost, and seconds until nobody is sent there.

Three gateways on loopback: two clusters that export a service, and one whose callers import it. Under load
one of the two is killed (its address refuses) or stopped (its address is silent, the worse case).
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from bench.figures import Result, Row
from bench.programs import Running, gateway_argv, start
from bench.setting import Bench, free_port, start_backend, start_gateway

CALLERS = 8
BEFORE_SECONDS = 2.0
AFTER_SECONDS = 8.0
POLL_SECONDS = 0.02
ROUNDS = 3
HOST = "service-0.bench:80"
ENDINGS = {"killed": signal.SIGKILL, "silent": signal.SIGSTOP}


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
    """Both ways to die, several times each."""
    rows: list[Row] = []
    for ending, number in ENDINGS.items():
        lost: list[float] = []
        detected: list[float] = []
        slowest: list[float] = []
        for turn in range(1 if bench.quick else ROUNDS):
            bench.step.update(f"cluster {ending}, {turn + 1} of {ROUNDS}")
            seen, seconds = _die(bench, number)
            lost.append(seen.lost)
            detected.append(seconds)
            slowest.append(seen.slowest)
        what = f"one of two clusters {ending} under load"
        for figure, unit, samples in (
            ("requests lost", "", lost),
            ("left out after", "s", detected),
            ("slowest request", "s", slowest),
        ):
            rows.append(
                Row(what=what, figure=figure, more_is_better=False, samples={"gateway": samples}, unit=unit)
            )
    return Result(
        rows, [f"{CALLERS} callers, each asking again as soon as it is answered; GET, policy ActiveActive."]
    )


def _die(bench: Bench, number: signal.Signals) -> tuple[Seen, float]:
    with ExitStack() as running:

        def keep(program: Running) -> Running:
            running.callback(program.stop)
            return program

        backend = keep(start_backend(bench)).port
        members = [keep(start_gateway(bench, backend, name=f"member-{one}")) for one in (1, 2)]
        for member in members:  # a stopped one must go on to be able to end
            running.callback(member.process.send_signal, signal.SIGCONT)
        caller, admin = _start_caller(bench, [member.port for member in members])
        keep(caller)
        return asyncio.run(_watch(caller.port, admin, members[0], number))


def _start_caller(bench: Bench, members: list[int]) -> tuple[Running, int]:
    named = {"name": "service-0", "namespace": "bench"}
    endpoints = [
        {
            "clusterKey": f"default/default/default/member-{number}",
            "target": {"host": "127.0.0.1", "ip": "127.0.0.1", "port": port, "path": "/service-0"},
        }
        for number, port in enumerate(members, 1)
    ]
    ports = [{"port": 80, "endpoints": endpoints}]
    items = [
        {"kind": "ServiceImport", "metadata": named, "spec": {"ports": ports}},
        {"kind": "GlobalTrafficPolicy", "metadata": named, "spec": {"lbType": "ActiveActive"}},
    ]
    objects = bench.folder / "caller-objects.json"
    objects.write_text(json.dumps({"kind": "List", "items": items}))
    port, north, admin = free_port(), free_port(), free_port()
    argv = gateway_argv(
        *["serve", "--objects", str(objects), "--cluster-key", "default/default/default/caller"],
        *["--listen", f"127.0.0.1:{north}", "--east-west", f"127.0.0.1:{port}"],
        *["--admin", f"127.0.0.1:{admin}", "--no-access-log"],
    )
    started = start(
        "caller", argv, core=bench.proxy_core, port=port, folder=bench.folder, env=bench.environment
    )
    return started, admin


async def _watch(port: int, admin: int, victim: Running, number: signal.Signals) -> tuple[Seen, float]:
    seen = Seen()
    seen.tasks = [asyncio.create_task(_call(port, seen)) for _ in range(CALLERS)]
    await asyncio.sleep(BEFORE_SECONDS)
    seen.slowest = 0.0
    victim.process.send_signal(number)
    died = time.monotonic()
    detected = AFTER_SECONDS
    while time.monotonic() - died < AFTER_SECONDS:
        if detected == AFTER_SECONDS and f"127.0.0.1:{victim.port}" in await _ejected(admin):
            detected = time.monotonic() - died
        await asyncio.sleep(POLL_SECONDS)
    seen.stop = True
    await asyncio.gather(*seen.tasks)
    return seen, detected


async def _ejected(admin: int) -> list[str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", admin)
    writer.write(b"GET /config HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return list(json.loads(answer.partition(b"\r\n\r\n")[2])["ejected"])


async def _call(port: int, seen: Seen) -> None:
    """Ask, again and again, over one connection as long as it lives."""
    writer: asyncio.StreamWriter | None = None
    while not seen.stop:
        asked = time.monotonic()
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET /x HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
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
