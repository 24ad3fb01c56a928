"""Load from wrk, and what it reports."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.programs import BenchError, pinned
from bench.slices import in_short_turns

UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
REQUESTS = re.compile(r"^\s*(\d+) requests in ([\d.]+)(us|ms|s|m)", re.MULTILINE)
PERCENTILE = re.compile(r"^\s*([\d.]+)%\s+([\d.]+)(us|ms|s|m)\s*$", re.MULTILINE)
WANTED = (50.0, 99.0, 99.9)
"""Percentiles of latency."""
REPORT = (
    "function done(summary, latency, requests)\n"
    '  io.write(string.format("  99.9%%  %.2fus\\n", latency:percentile(99.9)))\nend\n'
)
"""Begins a script: wrk itself reports no percentile above 99."""
WARM_SECONDS = 0.4
"""From the start of wrk on; it ends within another tenth."""
FAILED = re.compile(r"Socket errors: .*|Non-2xx or 3xx responses: \d+")


class NoAnswerError(BenchError):
    """A run in which not one request was answered."""


@dataclass(frozen=True)
class Load:
    """One run of wrk."""

    requests: int
    seconds: float
    p50: float
    p99: float
    p999: float
    """Latency in seconds."""


def parse(text: str) -> Load:
    """wrk's report. BenchError when requests failed, or none was answered: that measures something else."""
    failed = FAILED.search(text)
    if failed is not None:
        raise BenchError(f"wrk saw failures, so this is no measurement: {failed[0]}")
    requests = REQUESTS.search(text)
    percentiles = {
        float(number): float(value) * UNITS[unit] for number, value, unit in PERCENTILE.findall(text)
    }
    if requests is None or int(requests[1]) == 0 or not percentiles.keys() >= set(WANTED):
        raise NoAnswerError(f"wrk got no answers:\n{text[-1000:]}")
    seconds = float(requests[2]) * UNITS[requests[3]]
    return Load(int(requests[1]), seconds, *(percentiles[one] for one in WANTED))


def run(url: str, *, connections: int, seconds: int, core: int, script: Path) -> Load:
    """Load one URL (or what the script asks for) over kept-alive connections. It begins with `REPORT`."""
    return _report(pinned(core, in_short_turns(_wrk(url, connections, seconds, script))), seconds)


def warm_up(url: str, *, connections: int, core: int, script: Path) -> Load:
    """The same for a moment, shorter than wrk knows. A turn that comes next finds connections as in traffic
    that goes on, and none that was idle while others had theirs."""
    argv = in_short_turns(_wrk(url, connections, 1, script))
    ended = ["timeout", "--signal=INT", "--preserve-status", str(WARM_SECONDS), *argv]
    return _report(pinned(core, ended), 1)


def _wrk(url: str, connections: int, seconds: int, script: Path) -> list[str]:
    return ["wrk", "--latency", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), url]


def _report(argv: Sequence[str], seconds: int) -> Load:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=seconds + 60)
    if done.returncode:
        raise BenchError(f"wrk failed: {done.stderr or done.stdout}")
    return parse(done.stdout)


def quoted(text: str) -> str:
    """A string of Lua."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r").replace("\n", "\\n")
    return f'"{escaped}"'


def upload(size: int) -> str:
    """A wrk script that sends a body of so many bytes with each request."""
    return f'{REPORT}wrk.method = "POST"\nwrk.body = string.rep("x", {size})\n'


def unlike(host: str, path: str) -> str:
    """A wrk script whose requests each have a trace context and an identifier of their own, in any run."""
    salt = os.urandom(8).hex()
    return (
        f'{REPORT}local asked = 0\nlocal fields = {{["Host"] = "{host}"}}\n'
        "function request()\n  asked = asked + 1\n"
        f'  fields["Traceparent"] = string.format("00-{salt}%016x-%016x-01", asked, asked)\n'
        f'  fields["X-Request-Id"] = string.format("{salt}%016x", asked)\n'
        f'  return wrk.format("GET", "{path}", fields)\nend\n'
    )
