"""Child processes: their streams, a way to stop them, and that none outlives the plugin, however it ends."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_GUARD = "trap '' HUP INT TERM; read -r _ || kill -s KILL 0"
# What was told to stop has this long to do so; the engine itself gives up on a plugin after five seconds.
_STOP_SECONDS = 4.0
_CHUNK_BYTES = 1 << 16

Output = Callable[[str], Awaitable[None]]


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
    out: Output | None = None,
    err: Output | None = None,
    stop: asyncio.Event | None = None,
    stop_signal: signal.Signals = signal.SIGKILL,
) -> Finished:
    """Run a process to its end, `environment` on top of ours; `out` and `err` get each line of its streams.

    When `stop` is set, the process and all it started get `stop_signal`. Raises OSError when it cannot start.
    """
    done = Finished()
    with _guarded_group() as group:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            process_group=group,
        )
        work: asyncio.Future[Any] = asyncio.gather(
            _pump(process.stdout, (done.stdout, done.both), out),
            _pump(process.stderr, (done.stderr, done.both), err),
            _feed(process.stdin, stdin or ""),
            process.wait(),
        )
        stopped: asyncio.Future[Any] = asyncio.ensure_future((stop or asyncio.Event()).wait())
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work
            else:
                os.killpg(group, stop_signal)
                await asyncio.wait({work}, timeout=_STOP_SECONDS)
        finally:
            stopped.cancel()
            work.cancel()
            if process.returncode is None:
                os.killpg(group, signal.SIGKILL)
    # Something that has left the group may still hold the streams of what was stopped.
    done.status = -signal.SIGKILL if process.returncode is None else process.returncode
    return done


@contextlib.contextmanager
def _guarded_group() -> Iterator[int]:
    """A process group that is killed when this process dies, however it dies, while the block runs.

    Its leader waits for the end of its input, and is there before anything joins: no moment is unguarded. A
    parent-death signal would end one process alone and leave running what that had started.
    """
    with subprocess.Popen(
        ["/bin/sh", "-c", _GUARD],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    ) as leader:
        try:
            yield leader.pid
        finally:
            leader.communicate(b"\n")


async def _feed(pipe: asyncio.StreamWriter | None, text: str) -> None:
    if pipe is None:
        return
    # A process need not read its input.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        pipe.write(text.encode())
        await pipe.drain()
    pipe.close()


async def _pump(pipe: asyncio.StreamReader | None, into: Sequence[bytearray], line: Output | None) -> None:
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
