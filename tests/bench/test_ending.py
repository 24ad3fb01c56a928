"""However a measurement ends, nothing it started runs on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.commands import complete, held_back
from bench.programs import BenchError

ROOT = Path(__file__).parents[2]
SERVER = textwrap.dedent("""
    import signal, socket, sys, time
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    time.sleep(600)
""")
# What ./stack bench becomes, with one section, which starts a program and a command and then waits.
BENCH = textwrap.dedent("""
    import signal, sys
    from bench import sections
    from bench.commands import complete
    from bench.programs import start
    from bench.setting import free_port
    from bench import __main__ as command

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    server, told, order = sys.argv[1:]

    def section(bench):
        port = free_port()
        with start("a", [sys.executable, server, str(port)], core=0, port=port, folder=bench.folder) as one:
            try:
                orderly = "trap 'echo put in order > $0; exit' INT; echo $1 $$ > $2; sleep 600 & wait"
                said = f"{one.process.pid} {bench.folder}"
                complete(["sh", "-c", orderly, order, said, told], cwd=bench.folder)
            finally:
                with open(order, "a") as file:
                    file.write("taken down")

    sections.SECTIONS["proxy"] = section
    command.compiled_gateway = lambda root, cache: root
    command.require = lambda cache, report: None
    command.find_peers = lambda names, cache, report: ({}, {})
    sys.exit(command.main(["proxy", "--cache=/nowhere"]))
""")


def running(pid: int) -> bool:
    """Whether a process is there and not just waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@dataclass(frozen=True)
class Measurement:
    """One that is under way."""

    process: subprocess.Popen[str]
    program: int
    """What it started."""
    folder: Path
    command: int
    """What it waits for, with a session of its own."""
    order: Path
    """What command and measurement write when they put things in order."""


def start_bench(tmp_path: Path) -> Measurement:
    server, told, order = tmp_path / "server.py", tmp_path / "told", tmp_path / "order"
    server.write_text(SERVER)
    process = subprocess.Popen(
        [sys.executable, "-c", BENCH, str(server), str(told), str(order)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proxy'}"},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (told.exists() and told.read_text().endswith("\n")):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline, "the measurement does not begin"
        time.sleep(0.02)
    program, folder, command = told.read_text().split()
    return Measurement(process, int(program), Path(folder), int(command), order)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_measurement_takes_down_what_it_started_and_says_so_once(
    tmp_path: Path, number: signal.Signals
) -> None:
    bench = start_bench(tmp_path)
    bench.process.send_signal(number)
    _, said = bench.process.communicate(timeout=60)
    assert bench.process.returncode == 130, said
    assert said.count("interrupted") == 1
    assert "Traceback" not in said
    assert bench.order.read_text() == "put in order\ntaken down", (
        "the command got a Ctrl-C and was waited for"
    )
    assert not running(bench.program)
    assert not running(bench.command)
    assert not bench.folder.exists()


def test_a_killed_measurement_takes_its_programs_along(tmp_path: Path) -> None:
    bench = start_bench(tmp_path)
    bench.process.kill()
    bench.process.communicate(timeout=60)
    os.killpg(bench.command, signal.SIGKILL)
    shutil.rmtree(bench.folder)
    deadline = time.monotonic() + 30
    while running(bench.program):
        assert time.monotonic() < deadline, "the program outlived the measurement"
        time.sleep(0.02)


def test_who_interrupts_while_things_are_taken_down_waits_for_their_end(tmp_path: Path) -> None:
    def take_down() -> None:
        with held_back():
            signal.raise_signal(signal.SIGINT)
            complete(["sh", "-c", "echo gone > clusters"], cwd=tmp_path)

    with pytest.raises(KeyboardInterrupt):
        take_down()
    assert (tmp_path / "clusters").read_text() == "gone\n"


def test_a_command_that_takes_too_long_is_interrupted_and_named(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"sleep 600 has not finished within 0\.1 s"):
        complete(["sleep", "600"], cwd=tmp_path, timeout=0.1)


def test_a_command_that_fails_says_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"(?s)failed \(3\): out.*wrong"):
        complete(["sh", "-c", "echo out; echo wrong >&2; exit 3"], cwd=tmp_path)
