"""What callers feel when a cluster has another root and certificate: all pooled connections are replaced.

On loopback: two gateways with mutual TLS between them, and calls at a fixed pace. The exporter's cluster
gets another root and certificate, and the one before is taken away at once. Then once more as its controller
does it: the time of the certificate before ends, which is a minute here in place of a day.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from bench.between import CALLER, MEMBER, make_proofs
from bench.chain import CALLERS_GATEWAY, OTHER_GATEWAY, objects_file, start_gateways
from bench.figures import Result, Row, percentile
from bench.hop_objects import NAMESPACE
from bench.programs import BenchError, pinned, start
from bench.quiet import Quiet
from bench.setting import Bench, free_port
from gateway.core.certificates import fingerprint, read_certificates
from gateway.core.issuing import LEAF_LIFETIME, issue, make_root

CONNECTIONS = RATE = 500
"""Each connection is asked once a second."""
CASES = {"all of them in use": 0.9, "most of them idle": 0.0}
"""Seconds that the application takes."""
LIFETIME = timedelta(seconds=60)
BEFORE, ENDING, TAKEN = "before", "a certificate ends", "a root is taken away at once"
WINDOW_SECONDS = 5.0
"""Before, and after a root is taken away."""
SETTLE_SECONDS = 3.0
PATIENCE_SECONDS = 30.0
TURNS, QUICK_TURNS = 3, 1
GOAL_MS = 50.0
DIALLED = re.compile(r'^gateway_tls_handshakes_total\{side="dialled",result="ok"\} (\d+)', re.MULTILINE)

NOTES = (
    (
        f"{CONNECTIONS} connections ask {RATE} times a second in all, and as many are between the gateways. "
        f"The application takes {CASES['all of them in use']:g} s, by which nearly all are in use at any "
        "time, or answers at once, by which most are idle. What it takes is taken off; a call that waits for "
        "the one before on its connection counts from when it was due."
    ),
    (
        f"{ENDING.capitalize()}: another root is known, another certificate of it in use, and the time of "
        "the one before ends, as by every rotation and renewal: each connection is replaced at a moment of "
        "its own. That time is a minute and a half here and a day by default, so that they are replaced a "
        f"thousand times as quickly as in a cluster. Wanted is a p99 within {GOAL_MS:g} ms."
    ),
    (
        f"{TAKEN.capitalize()}: what is done when somebody has stolen its key. No connection by it may be "
        f"used: each is replaced when it is needed. Told are the {WINDOW_SECONDS:g} s after it. "
        "Where all are in use that is a handshake for each call of a second, of which both gateways "
        "share one core here: calls wait for them."
    ),
    "No call failed: one would end the measurement.",
)


@dataclass
class Walk:
    """What one walk has seen, by phase."""

    phases: dict[str, tuple[float, float]] = field(default_factory=dict)
    """From when to when, on the monotonic clock."""
    replaced: dict[str, int] = field(default_factory=dict)
    """Connections that the caller's gateway made meanwhile."""
    calls: list[tuple[float, float]] = field(default_factory=list)
    """When each began, and its seconds beyond those that the application takes."""

    def latencies(self, phase: str) -> list[float]:
        """In milliseconds."""
        since, until = self.phases[phase]
        return [seconds * 1000 for began, seconds in self.calls if since <= began < until]


def measure(bench: Bench) -> Result:
    """Both cases by turns."""
    machine = Quiet()
    walks: dict[str, list[Walk]] = {case: [] for case in CASES}
    turns = QUICK_TURNS if bench.quick else TURNS
    for turn in range(turns):
        for case, seconds in CASES.items():
            bench.step.update(f"{case}, {turn + 1} of {turns}")
            walks[case].append(_walk(bench, seconds))
    return Result([row for case in CASES for row in rows(case, walks[case])], [*NOTES, machine.told()])


def rows(case: str, walks: list[Walk]) -> list[Row]:
    """Figures of a case, phase by phase. Pure."""
    figures: dict[str, tuple[str, Callable[[Walk, str], float]]] = {
        "p50": ("ms", lambda walk, phase: percentile(walk.latencies(phase), 50)),
        "p99": ("ms", lambda walk, phase: percentile(walk.latencies(phase), 99)),
        "slowest": ("ms", lambda walk, phase: max(walk.latencies(phase))),
        "connections made": ("", lambda walk, phase: walk.replaced[phase]),
    }
    return [
        Row(what=f"{CONNECTIONS} connections, {case}", figure=figure, more_is_better=False, unit=unit,
            compared=False,
            samples={phase: [value(walk, phase) for walk in walks] for phase in walks[0].phases})
        for figure, (unit, value) in figures.items()
    ]  # fmt: skip


class Clusters:
    """Both gateways, and what changes between them."""

    def __init__(self, bench: Bench, running: ExitStack, application: int) -> None:
        self._proofs = make_proofs(bench.folder)
        self._root = self._proofs.root.read_bytes()
        self._chain = start_gateways(bench, running, application, self._proofs)
        self._objects = objects_file(bench, CALLER)
        self.port = self._chain.remote

    def rotate(self, lifetime: timedelta) -> None:
        """Another root is known beside the one before, and then a certificate of it is used."""
        now = datetime.now(UTC)
        before, root = self._root, make_root(MEMBER, now)
        self._root = root.pem
        self._know(before, self._root)
        used = self._peers(OTHER_GATEWAY)["until"]
        leaf, folder = issue(root, MEMBER, now, lifetime), self._proofs.folder / "member"
        (folder / "tls.crt").write_bytes(leaf.chain)
        (folder / "tls.key").write_bytes(leaf.key)
        until(lambda: self._peers(OTHER_GATEWAY)["until"] != used, "the new certificate is in use")

    def forget(self) -> None:
        """The root before is known no more."""
        self._know(self._root)

    def made(self) -> int:
        """Connections between the two so far."""
        found = DIALLED.search(self._page(CALLERS_GATEWAY, "metrics"))
        return int(found[1]) if found else 0

    def _know(self, *roots: bytes) -> None:
        objects = json.loads(self._objects.read_text())
        (peer,) = [item for item in objects["items"] if item["kind"] == "Peer"]
        peer["spec"]["roots"] = [root.decode() for root in roots]
        written = self._objects.with_suffix(".new")
        written.write_text(json.dumps(objects))
        written.replace(self._objects)
        wanted = [fingerprint(*read_certificates(root)) for root in roots]
        until(lambda: self._peers(CALLERS_GATEWAY)["peers"][MEMBER] == wanted, "the roots are known")

    def _peers(self, gateway: str) -> Any:
        return json.loads(self._page(gateway, "peers"))

    def _page(self, gateway: str, name: str) -> str:
        where = f"http://127.0.0.1:{self._chain.admin[gateway]}/{name}"
        with urllib.request.urlopen(where, timeout=10) as answer:
            return str(answer.read().decode())


def until(check: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """BenchError when it does not come."""
    ends = time.monotonic() + seconds
    while not check():
        if time.monotonic() > ends:
            raise BenchError(f"not within {seconds:g} s: {what}")
        time.sleep(0.1)


def _walk(bench: Bench, takes: float) -> Walk:
    walk = Walk()
    # Where most are idle few are left for the second part.
    lifetime = LIFETIME if takes else LEAF_LIFETIME
    lasts = 2 * WINDOW_SECONDS + 4 * SETTLE_SECONDS + (LIFETIME.total_seconds() if takes else 0.0)
    with ExitStack() as running:
        port = free_port()
        argv = [sys.executable, "-m", "bench.late", str(port)]
        core, folder = bench.load_core, bench.folder
        running.enter_context(start("application", argv, core=core, port=port, folder=folder))
        clusters = Clusters(bench, running, port)
        calls = running.enter_context(Calls(bench, clusters.port, takes, lasts))

        @contextmanager
        def phase(name: str) -> Iterator[None]:
            began, made = time.monotonic(), clusters.made()
            yield
            walk.phases[name] = began, time.monotonic()
            walk.replaced[name] = clusters.made() - made

        while clusters.made() < CONNECTIONS:
            calls.go_on()
            time.sleep(0.1)
        time.sleep(2 * SETTLE_SECONDS)
        with phase(BEFORE):
            time.sleep(WINDOW_SECONDS)
        clusters.rotate(lifetime)
        ends = time.monotonic() + LIFETIME.total_seconds()
        with phase(TAKEN):
            clusters.forget()
            time.sleep(WINDOW_SECONDS)
        if takes:
            with phase(ENDING):
                clusters.rotate(LEAF_LIFETIME)
                time.sleep(max(0.0, ends - time.monotonic()))
        for began, seconds in calls.told():
            walk.calls.append((began, seconds - takes))
    return walk


class Calls:
    """A client that goes on for so long."""

    def __init__(self, bench: Bench, port: int, takes: float, seconds: float) -> None:
        self._seconds = seconds
        argv = [sys.executable, "-m", "bench.steady", str(port), f"{takes}", "--host", f"remote.{NAMESPACE}"]
        options = [f"--rate={RATE}", f"--connections={CONNECTIONS}", f"--seconds={seconds}"]
        self._process = subprocess.Popen(
            pinned(bench.load_core, [*argv, *options]), cwd=bench.root, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def go_on(self) -> None:
        """BenchError when they have ended."""
        if self._process.poll() is not None:
            self.told()

    def told(self) -> list[tuple[float, float]]:
        """When each began, and its seconds. BenchError when one failed."""
        said, wrong = self._process.communicate(timeout=self._seconds + PATIENCE_SECONDS)
        if self._process.returncode:
            raise BenchError(f"a call failed, so this is no measurement: {wrong[-2000:]}")
        return [(began, took) for began, took in json.loads(said)]
