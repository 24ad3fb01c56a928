"""Good and hostile traffic on the environment `dev`, which is up, and a report of what came of both.

    PYTHONPATH=.:tests:proxy python -m e2e.soak [--minutes 40] [--out DIR]

Writes report.json, samples.json and picture.svg into the folder; exit code 1 when something was not well.
What it makes on the platform it takes away again, after Ctrl-C too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import proxy.smuggled
from e2e.commands import engine_environment
from e2e.load import Clusters
from e2e.soak import picture, report, samples
from e2e.soak.tenant import Tenant
from e2e.soak.world import CALLER, ECHO, EVIL, FAIL_OVER, GOOD, TENANTS, World, script

WARM_SECONDS = 45.0
"""From the first good request until they count: routes and connections are made meanwhile."""
SIDECAR = "http://127.0.0.1:3500/v1.0/invoke"
PORTS = {"the front door": 80, "cluster-1": 81, "cluster-3": 83}
Lane = dict[str, Any]


def named_lanes() -> list[Lane]:
    """Asked in a pod of a cluster that runs none of it."""
    by_name, fail_over, by_app_id = (
        f"http://{ECHO}.{GOOD}",
        f"http://{FAIL_OVER}.{GOOD}",
        f"{SIDECAR}/{ECHO}/method",
    )
    return [
        {"name": "by name", "url": by_name, "callers": 2},
        {"name": "by name, new connections", "url": by_name, "fresh": True},
        {"name": "by name, POST", "url": by_name, "method": "POST", "size": 4096, "pause": 0.5},
        {"name": "FailOver", "url": fail_over},
        {"name": "FailOver, POST", "url": fail_over, "method": "POST", "size": 100_000, "pause": 1.0},
        {"name": "by app-id", "url": by_app_id, "plain": True, "pause": 0.5},
        {
            "name": "by app-id, POST",
            "url": by_app_id,
            "plain": True,
            "method": "POST",
            "size": 512,
            "pause": 1.0,
        },
    ]


def path_lanes() -> list[Lane]:
    """Asked from this machine, at the ports that are published on it."""
    found: list[Lane] = []
    for where, port in PORTS.items():
        url = f"http://127.0.0.1:{port}/{ECHO}"
        found += [
            {"name": where, "url": url},
            {"name": f"{where}, new connections", "url": url, "fresh": True, "pause": 0.5},
            {"name": f"{where}, POST", "url": url, "method": "POST", "size": 20_000, "pause": 0.5},
        ]
    return found


def lanes_of(lanes: list[Lane]) -> str:
    """What a good caller is told: all ask the one good server, by whatever name."""
    return json.dumps([{**lane, "service": ECHO} for lane in lanes])


def target(host: str, port: int, name: str, path: str) -> dict[str, Any]:
    """What an attacker is told."""
    cases = [
        case.replace(b"/app", path.encode()).replace(b"Host: x", b"Host: " + name.encode())
        for case in proxy.smuggled.SMUGGLED
    ]
    texts = [case.decode("latin-1") for case in cases]
    return {"host": host, "port": port, "name": name, "path": path, "own": f"/{EVIL}", "cases": texts}


@contextlib.contextmanager
def lines(
    argv: list[str], take: Callable[[Any], None], env: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """A process whose lines of JSON are taken while the block runs."""
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=dict(env))

    def read() -> None:
        for line in process.stdout or ():
            with contextlib.suppress(ValueError):  # a line that a signal cut
                take(json.loads(line))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield process
    finally:
        process.terminate()
        process.wait()
        reader.join(5)


def known_addresses(world: World) -> dict[str, str]:
    """What a tenant can find out: addresses of pods, and of the node."""
    kubectl = world.clusters[TENANTS]

    def first(namespace: str, label: str) -> str:
        where = ("-n", namespace, "get", "pods", "-l", label, "-o", "jsonpath={.items[0].status.podIP}")
        return kubectl(*where).strip()

    node = kubectl("get", "nodes", "-o", "jsonpath={.items[0].status.addresses[0].address}").strip()
    system = samples.SYSTEM
    return {
        "echo": first(GOOD, f"serves={ECHO}"), "gateway": first(system, "app=gateway"),
        "controller": first(system, "app=controller"), "node": node,
    }  # fmt: skip


def run(world: World, minutes: float, out: Path) -> dict[str, str]:
    """Traffic for so long. What was not well, by what should have been."""
    env, python = {**os.environ, **world.caller.env}, [sys.executable, "-u", "-c"]
    quiet = ["nice", "-n", "10", *python, script("attacks")]
    world.run(GOOD, "good", [script("good"), lanes_of(named_lanes())],
              {"dapr.io/enabled": "true", "dapr.io/app-id": "soak-caller"})  # fmt: skip
    inside = json.dumps(target(f"{ECHO}.{GOOD}", 80, f"{ECHO}.{GOOD}", "/inside"))
    world.run(EVIL, "attacker", [script("attacks"), inside])
    good, hostile = report.Good(time.time() + WARM_SECONDS), report.Hostile()
    with contextlib.ExitStack() as stack:
        for argv in (
            world.caller.argv("-n", GOOD, "logs", "-f", "good", "-c", "main"),
            [*python, script("good"), lanes_of(path_lanes())],
        ):
            stack.enter_context(lines(argv, good.take, env))
        for argv in (
            world.caller.argv("-n", EVIL, "logs", "-f", "attacker"),
            [*quiet, json.dumps(target("127.0.0.1", PORTS["the front door"], "front", f"/{ECHO}"))],
            [*quiet, json.dumps(target("127.0.0.1", PORTS[TENANTS], "member", f"/{ECHO}"))],
        ):
            stack.enter_context(lines(argv, hostile.take, env))
        tenant = Tenant(world.tenant(), world.caller.env, known_addresses(world))
        stack.callback(tenant.stop)
        sampler = samples.Sampler(world.clusters)
        stack.callback(sampler.stop)
        before: dict[str, int] = {}
        try:
            while (left := good.began + 60 * minutes - time.time()) > 0:
                time.sleep(min(60.0, left))
                before = before or dict(sampler.restarts)
                print(
                    f"{time.strftime('%H:%M:%S')} {good.requests} good requests, {good.failed} failed; "
                    f"{hostile.outcomes.total()} hostile, {len(hostile.leaks)} leaks",
                    flush=True,
                )
        finally:
            minutes = min(minutes, (time.time() - good.began) / 60)
            smuggled = world.smuggled()
            restarted = samples.started_again(before, sampler.restarts)
            wrong = report.shortcomings(
                good, hostile, sampler.processes, restarted=restarted, smuggled=smuggled, minutes=minutes
            )
            figures = report.summary(good, hostile, sampler.processes)
            figures |= {
                "wrong": wrong,
                "tenant": dict(tenant.done),
                "gauges": sampler.gauges,
                "faults": sampler.faults,
            }
            (out / "report.json").write_text(json.dumps(figures, indent=1) + "\n")
            (out / "samples.json").write_text(json.dumps(samples.as_json(sampler.processes)) + "\n")
            (out / "picture.svg").write_text(picture.draw(good, sampler.processes))
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m e2e.soak")
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--out", type=Path, default=Path("soak"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with tempfile.TemporaryDirectory() as folder:
        clusters = Clusters(engine_environment(), Path(folder))
        print(f"making namespaces {GOOD} and {EVIL}, callers on {CALLER}", flush=True)
        try:
            with World(clusters, Path(folder)) as world:
                wrong = run(world, arguments.minutes, arguments.out)
        except KeyboardInterrupt:
            print("interrupted; what was made is taken away, what was seen is in the report", flush=True)
            return 130
    for wanted, found in wrong.items():
        print(f"NOT WELL: {wanted}: {found}")
    print(
        f"{'not ' if wrong else ''}well after {arguments.minutes:g} minutes; see {arguments.out}/report.json"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
