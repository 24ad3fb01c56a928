"""The main job on this machine, as a user runs it: up, demo, up again, destroy; killed half-way, too.

The tests of this module run in order and share one environment: each is a step of one user's day.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = "dev"
COLD_SECONDS = 45 * 60
PORTS = (80, 81, 82, 83, 6379, 6444, 6445, 6446, 6447)


def stack(*arguments: str, timeout: float = COLD_SECONDS, code: int = 0) -> str:
    """Run ./stack, echoing its output into the test's log; returns standard output and error together."""
    print(f"\n$ ./stack {' '.join(arguments)}", flush=True)
    started = time.monotonic()
    done = subprocess.run(
        [str(ROOT / "stack"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    print(done.stdout)
    print(f"[{time.monotonic() - started:.1f} s, exit {done.returncode}]", flush=True)
    assert done.returncode == code, f"./stack {' '.join(arguments)} ended with {done.returncode}"
    return done.stdout


def state_folder() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "multicluster-dapr" / "environments" / ENVIRONMENT


def temporary_files() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("multicluster-dapr-*"))


@pytest.fixture(scope="module", autouse=True)
def clean_machine() -> Iterator[None]:
    """Start from nothing, and leave nothing whatever happens in between."""
    if state_folder().exists() and not os.environ.get("CI"):
        pytest.exit(
            f"environment {ENVIRONMENT!r} is up and these tests would take it down: ./stack destroy first", 2
        )
    stack("destroy", ENVIRONMENT)
    yield
    stack("destroy", ENVIRONMENT)


def test_an_up_killed_half_way_leaves_a_state_the_next_up_repairs() -> None:
    child = subprocess.Popen(
        [str(ROOT / "stack"), "up", ENVIRONMENT], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert child.stdout is not None
    seen = []
    deadline = time.monotonic() + COLD_SECONDS
    for line in child.stdout:
        seen.append(line)
        if re.search(r"command:local:Command .*creating", line) or time.monotonic() > deadline:
            break  # clusters are being created: the worst moment
    time.sleep(5)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert seen, "up printed nothing"
    assert state_folder().exists()


def test_up_brings_everything_up() -> None:
    printed = stack("up", ENVIRONMENT)
    assert "Where the time went" in printed


def test_a_second_up_changes_nothing() -> None:
    printed = stack("up", ENVIRONMENT)
    summary = printed[printed.rindex("Resources:") :]
    assert re.search(r"\d+ unchanged", summary), summary
    assert not re.search(r"[+~-]\s*\d+ (created|updated|deleted|replaced)|\d+ to (create|update)", summary), (
        summary
    )


def test_the_demo_sees_what_the_article_says(tmp_path: Path) -> None:
    table = tmp_path / "demo.json"
    stack("demo", ENVIRONMENT, "--json", str(table))
    result = json.loads(table.read_text())
    assert result["passed"], result
    assert len(result["rows"]) >= 10, "the walk has ten checked steps"


def test_no_secret_is_readable_in_the_state() -> None:
    env = dict(
        line.removeprefix("export ").split("=", 1)
        for line in subprocess.run(
            [str(ROOT / "stack"), "env", ENVIRONMENT], capture_output=True, text=True, check=True
        ).stdout.splitlines()
    )
    clean = {key: value.strip("'") for key, value in env.items()}
    outputs = subprocess.run(
        ["pulumi", "stack", "output", "--json", "--show-secrets"],
        env={**os.environ, **clean}, cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    kubeconfigs = json.loads(outputs)["kubeconfigs"]
    keys = {match for text in kubeconfigs.values() for match in re.findall(r"client-key-data: (\S+)", text)}
    assert keys, "the kubeconfigs carry client keys"
    for path in state_folder().rglob("*.json*"):
        text = path.read_text()
        assert not any(key in text for key in keys), f"a client key stands in clear in {path}"


def test_destroy_leaves_nothing() -> None:
    before = temporary_files()
    stack("destroy", ENVIRONMENT)
    assert not state_folder().exists(), "the environment's state and passphrase are gone"
    assert temporary_files() <= before, "no temporary file was left"
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


def test_up_after_destroy_works() -> None:
    stack("up", ENVIRONMENT)


def test_a_command_for_an_unknown_environment_names_those_there_are() -> None:
    printed = stack("up", "nowhere", code=2)
    assert "unknown environment 'nowhere'" in printed
    assert "dev" in printed
