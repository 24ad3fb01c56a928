"""Commands without the engine: process, environment, texts, files."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from airgap.plugins.base.logs import Log
from airgap.plugins.base.provider import ProviderError, Request
from airgap.plugins.base.values import UNKNOWN, Secret
from airgap.plugins.command.files import collect
from airgap.plugins.command.plugin import CommandProvider, Commands, validate
from airgap.plugins.command.process import run_command


def request(**fields: Any) -> Request:
    return Request(urn="urn:x", type="command:local:Command", name="made", log=Log(), **fields)


class Collected(Log):
    """Keeps what would be shown."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    async def status(self, message: str) -> None:
        self.lines.append(message)


async def _run(command: str, **inputs: Any) -> tuple[str, str, list[str]]:
    log = Collected()
    stdout, stderr = await run_command(command, inputs, {}, log, asyncio.Event())
    return stdout, stderr, log.lines


def commands() -> Commands:
    return Commands(asyncio.Event())


async def test_each_stream_loses_exactly_one_newline() -> None:
    stdout, stderr, _ = await _run("printf 'a\\n\\n'; printf b >&2")
    assert (stdout, stderr) == ("a\n", "b")


async def test_interpreter_directory_environment_and_stdin_are_used(tmp_path: Path) -> None:
    inputs = {
        "interpreter": ["/bin/sh", "-ec"],
        "dir": str(tmp_path),
        "environment": {"A": "1"},
        "stdin": "in",
    }
    stdout, _, _ = await _run('pwd; echo "$A"; cat', **inputs)
    assert stdout.splitlines() == [str(tmp_path), "1", "in"]


async def test_a_command_that_ignores_its_input_is_fine() -> None:
    stdout, _, _ = await _run("echo done", stdin="x" * 1_000_000)
    assert stdout == "done"


@pytest.mark.parametrize(
    ("logging", "lines"),
    [("none", []), ("stdout", ["o"]), ("stderr", ["e"]), ("stdoutAndStderr", ["e", "o"])],
)
async def test_logging_chooses_the_lines_shown(logging: str, lines: list[str]) -> None:
    assert sorted((await _run("echo o; echo e >&2", logging=logging))[2]) == lines


@pytest.mark.parametrize(
    ("command", "inputs", "text"),
    [
        ("echo no; exit 4", {}, 'exit status 4: running "echo no; exit 4":\nno\n'),
        ("kill -TERM $$", {}, 'signal: terminated: running "kill -TERM $$":\n'),
        ("kill -9 $$", {}, 'signal: killed: running "kill -9 $$":\n'),
        (
            "x",
            {"interpreter": ["nowhere-1"]},
            'exec: "nowhere-1": executable file not found in $PATH: running "x":\n',
        ),
        (
            "x",
            {"interpreter": ["/no/where"]},
            'fork/exec /no/where: no such file or directory: running "x":\n',
        ),
        ("x", {"dir": "/no/where"}, 'chdir /no/where: no such file or directory: running "x":\n'),
    ],
)
async def test_failures_read_as_the_official_plugins(command: str, inputs: dict[str, Any], text: str) -> None:
    with pytest.raises(ProviderError) as caught:
        await _run(command, **inputs)
    assert str(caught.value) == text


async def test_a_stop_kills_the_command_and_all_it_started(tmp_path: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.5, stop.set)
    pids = tmp_path / "pids"
    with pytest.raises(ProviderError, match="signal: killed"):
        await asyncio.wait_for(run_command(f"sleep 60 & echo $! > {pids}; sleep 60", {}, {}, Log(), stop), 10)
    assert _ended(int(pids.read_text())), "what the command had started goes on"


_PLUGIN = """
import asyncio, sys
from airgap.plugins.base.process import run
asyncio.run(run(["sh", "-c", sys.argv[1]]))
"""


def test_a_plugin_killed_at_any_moment_takes_its_commands_along(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    # No moment is earlier than the one the command chooses itself.
    command = f"sleep 60 & echo $! $$ > {pids}; kill -s KILL $PPID; sleep 60"
    killed = subprocess.run([sys.executable, "-c", _PLUGIN, command], check=False, timeout=20)
    assert killed.returncode == -signal.SIGKILL
    assert all(_ended(int(pid)) for pid in pids.read_text().split())


async def test_what_a_finished_command_left_running_is_not_ours_to_end(tmp_path: Path) -> None:
    stdout, _, _ = await _run("sleep 60 > /dev/null 2>&1 & echo $!")
    try:
        assert not _ended(int(stdout), seconds=0.3)
    finally:
        os.kill(int(stdout), signal.SIGKILL)


def _ended(pid: int, seconds: float = 10) -> bool:
    """Whether a process is gone, or dead and not yet reaped by its new parent, before long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state in "ZX":
            return True
        time.sleep(0.05)
    return False


def test_globs_choose_files(tmp_path: Path) -> None:
    for name in ("a.txt", "b.md", "sub/c.txt", "sub/deep/d.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert list(collect(["*.txt"], str(tmp_path))) == ["a.txt"]
    assert list(collect(["**/*.txt", "!sub/deep/**"], str(tmp_path))) == ["a.txt", "sub/c.txt"]


async def test_update_sees_the_last_output_and_delete_too(tmp_path: Path) -> None:
    provider = commands()
    seen = tmp_path / "seen"
    inputs = {
        "create": "echo one",
        "update": 'echo "$PULUMI_COMMAND_STDOUT+"',
        "delete": f'echo "$PULUMI_COMMAND_STDOUT" > {seen}',
    }
    id_, state = await provider.create(request(inputs=inputs))
    assert state["stdout"] == "one"
    assert id_.startswith("made")
    assert len(id_) == len("made") + 8
    state = await provider.update(request(id=id_, inputs=inputs, old_inputs=inputs, state=state))
    assert state["stdout"] == "one+"
    await provider.delete(request(id=id_, state=state))
    assert seen.read_text() == "one+\n"


async def test_a_preview_keeps_streams_until_an_input_changes() -> None:
    provider = commands()
    old = {"create": "echo one"}
    state = {**old, "stdout": "one", "stderr": ""}
    kept = await provider.update(
        request(inputs={**old, "delete": "true"}, old_inputs=old, state=state, preview=True)
    )
    assert kept["stdout"] == "one", "an input that is merely new changes nothing"
    gone = await provider.update(
        request(inputs={"create": "echo 2"}, old_inputs=old, state=state, preview=True)
    )
    assert gone["stdout"] is UNKNOWN


async def test_only_outputs_named_like_a_secret_input_are_secret() -> None:
    inputs = {"create": "echo $P", "environment": {"P": Secret("x")}}
    _, state = await commands().create(request(inputs=inputs))
    assert state["environment"] == {"P": Secret("x")}
    assert state["stdout"] == "x"


async def test_triggers_replace_only_as_a_whole() -> None:
    provider = commands()
    element = await provider.diff(request(inputs={"triggers": [2]}, old_inputs={"triggers": [1]}))
    assert element.changes == {("triggers", 0): "update"}
    assert not element.replaces, "for elements the SDK itself asks for replacement"
    whole = await provider.diff(request(inputs={"triggers": UNKNOWN}, old_inputs={"triggers": [1]}))
    assert whole.replaces == {("triggers",)}


def test_bad_inputs_are_named() -> None:
    fields = {"create": "string", "environment": "object", "triggers": "any array"}
    problems = validate({"create": 3, "environment": {"A": 1}, "odd": 1, "triggers": ["x", 1]}, fields)
    assert [problem.property for problem in problems] == ["create", "environment.A", "odd"]


async def test_run_reports_a_missing_command() -> None:
    _, failures = await CommandProvider().invoke("command:local:run", {}, Log())
    assert [failure.property for failure in failures] == ["command"]
    result, _ = await CommandProvider().invoke("command:local:run", {"command": "echo hi"}, Log())
    assert result["stdout"] == "hi"
