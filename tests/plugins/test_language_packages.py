"""Plugins that are written in Python: their streams reach the engine, and they end with it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from pulumi.runtime.proto import language_pb2

from airgap.plugins.language.packages import run_plugin, steps, streamed

SERVES = """
import sys, os, time
print("4242", flush=True)
print(os.environ["SAID"], sys.argv[1], file=sys.stderr, flush=True)
time.sleep(600)
"""


async def _all(code: str) -> list[Any]:
    response = language_pb2.InstallDependenciesResponse
    found = streamed(response, [sys.executable, "-c", code], folder="/", stops=set())
    return [item async for item in found]


async def test_lines_come_one_by_one_and_the_status_last() -> None:
    code = "import sys; print('one'); print('two'); sys.stdout.flush(); sys.exit(3)"
    *lines, status = await _all(code)
    assert [line.stdout for line in lines] == [b"one\n", b"two\n"]
    assert status == 3


async def test_a_plugin_serves_until_it_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "__main__.py").write_text(SERVES)
    info = language_pb2.ProgramInfo(program_directory=str(tmp_path))
    request = language_pb2.RunPluginRequest(info=info, pwd="/", args=["engine"], env=["SAID=a=b"])
    stops: set[asyncio.Event] = set()
    found = run_plugin(sys.executable, request, stops)
    two = [await anext(found), await anext(found)]
    assert b"4242\n" in [line.stdout for line in two]
    assert b"a=b engine\n" in [line.stderr for line in two]
    for stop in stops:
        stop.set()
    assert await anext(found) == -9
    assert not stops


async def test_a_plugin_ends_when_nobody_listens_any_longer(tmp_path: Path) -> None:
    (tmp_path / "__main__.py").write_text(
        SERVES.replace("4242", "{os.getpid()}").replace('print("', 'print(f"')
    )
    info = language_pb2.ProgramInfo(program_directory=str(tmp_path))
    request = language_pb2.RunPluginRequest(info=info, pwd="/", args=["engine"], env=["SAID=x"])
    found: Any = run_plugin(sys.executable, request, set())
    process = Path("/proc") / next(
        line.stdout.decode().strip() for line in [await anext(found), await anext(found)] if line.stdout
    )
    assert process.exists()
    await found.aclose()
    assert not process.exists()


def test_requirements_go_into_the_environment_that_is_named(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    assert steps(venv, tmp_path, "python3") == [], "there are none"
    (tmp_path / "requirements.txt").touch()
    make, install = steps(venv, tmp_path, "python3")
    assert make == ["python3", "-m", "venv", str(venv)]
    assert install[0] == str(venv / "bin" / "python")
    assert install[-2:] == ["-r", "requirements.txt"]
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").touch()
    assert steps(venv, tmp_path, "python3") == [install]
    assert [argv[0] for argv in steps(None, tmp_path, "python3")] == ["python3"]
