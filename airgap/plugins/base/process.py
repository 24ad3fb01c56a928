"""Child processes: their streams, a way to stop them, and that none outlives the plugin, however it ends."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_GUARD = 'read -r _ || kill -s KILL -- "-$1"'
# What was told to stop has this long to do so; the engine itself gives up on a plugin after five seconds.
_STOP_SECONDS = 4.0
_CHUNK_BYTES = 1 << 16

Line = Callable[[str], Awaitable[None]]


@dataclass
class Finished:
    """How a process ended (a negative status is the signal) and what it wrote, apart and interleaved."""

    status: int = 0
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    both: bytearray = field(default_factory=bytearray)


async def run(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    folder: str | None = None,
    stdin: str | None = None,
    out: Line | None = None,
    err: Line | None = None,
    stop: asyncio.Event | None = None,
    stop_signal: signal.Signals = signal.SIGKILL,
) -> Finished:
    """Run a process to its end, `environment` on top of ours; `out` and `err` get each line of its streams.

    When `stop` is set, the process and all it started get `stop_signal`. Raises OSError when it cannot start.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        process_group=0,  # so that it can be stopped with all it started
    )
    done = Finished()
    work: asyncio.Future[Any] = asyncio.gather(
        _pump(process.stdout, (done.stdout, done.both), out),
        _pump(process.stderr, (done.stderr, done.both), err),
        _feed(process.stdin, stdin or ""),
        process.wait(),
    )
    stopped: asyncio.Future[Any] = asyncio.ensure_future((stop or asyncio.Event()).wait())
    try:
        with _guarded(process.pid):
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work
            else:
                _kill(process, stop_signal)
                await asyncio.wait({work}, timeout=_STOP_SECONDS)
    finally:
        stopped.cancel()
        work.cancel()
        _kill(process, signal.SIGKILL)
    # Something that has left the group may still hold the streams of what was stopped.
    done.status = -signal.SIGKILL if process.returncode is None else process.returncode
    return done


@contextlib.contextmanager
def _guarded(leader: int) -> Iterator[None]:
    """While the block runs, the process group of `leader` is killed when this process dies.

    A process of its own waits for the end of its input: a parent-death signal would end the leader alone and
    leave running what that had started.
    """
    with subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, "guard", str(leader)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    ) as guard:
        try:
            yield
        finally:
            guard.communicate(b"\n")


def _kill(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)


async def _feed(pipe: asyncio.StreamWriter | None, text: str) -> None:
    if pipe is None:
        return
    # A process need not read its input.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        pipe.write(text.encode())
        await pipe.drain()
    pipe.close()


async def _pump(pipe: asyncio.StreamReader | None, into: Sequence[bytearray], line: Line | None) -> None:
    rest = b""
    while pipe and (chunk := await pipe.read(_CHUNK_BYTES)):
        for stream in into:
            stream.extend(chunk)
        *lines, rest = (rest + chunk).split(b"\n")
        if line:
            for one in lines:
                await line(one.decode(errors="replace"))
    if rest and line:
        await line(rest.decode(errors="replace"))
