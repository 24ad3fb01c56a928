"""Run one command of a local.Command: environment, streams, files it leaves, and the errors users see."""

import asyncio
import contextlib
import hashlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from airgap.plugins.base.guard import guarded
from airgap.plugins.base.provider import ProviderError
from airgap.plugins.base.values import ARCHIVE_SIGNATURE, ASSET_SIGNATURE, SIGNATURE

# What has left a killed command's group may keep its pipes open: its answer waits no longer than this.
_PIPE_SECONDS = 2.0
_CHUNK_BYTES = 1 << 16


@dataclass
class _Streams:
    """What a process wrote, apart and interleaved."""

    both: bytearray = field(default_factory=bytearray)
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)


async def run(
    command: str,
    inputs: dict[str, Any],
    extra: dict[str, str],
    line: Callable[[str], None],
    stop: asyncio.Event,
) -> tuple[str, str]:
    """Run `command` as `inputs` (plain values) say; answers stdout and stderr, each less a final newline.

    `line` gets each line that `logging` lets through, from another thread. When `stop` is set, or this
    process dies, the command and all it started are killed.
    """
    process = await asyncio.to_thread(_start, command, inputs, extra)
    streams = _Streams()
    killer = asyncio.create_task(_kill_when(stop, process))
    try:
        await asyncio.to_thread(_follow, process, streams, inputs, line, stop)
    finally:
        killer.cancel()
    status = process.returncode
    if status != 0:
        reason = f"exit status {status}" if status > 0 else f"signal: {_signal_words(-status)}"
        raise ProviderError(_failure(reason, command, bytes(streams.both)))
    return _text(streams.stdout), _text(streams.stderr)


def _start(command: str, inputs: dict[str, Any], extra: dict[str, str]) -> subprocess.Popen[bytes]:
    argv = [*(inputs.get("interpreter") or ["/bin/sh", "-c"]), command]
    directory = inputs.get("dir") or None
    if directory and not Path(directory).is_dir():
        reason = "not a directory" if Path(directory).exists() else "no such file or directory"
        raise ProviderError(_failure(f"chdir {directory}: {reason}", command, b""))
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL if inputs.get("stdin") is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=directory,
            env={**os.environ, **(inputs.get("environment") or {}), **extra},
            bufsize=0,
            process_group=0,  # so that it can be killed with all it started
        )
    except OSError as error:
        text = f"fork/exec {argv[0]}: {(error.strerror or str(error)).lower()}"
        if "/" not in argv[0]:
            text = f"exec: {go_quote(argv[0])}: executable file not found in $PATH"
        raise ProviderError(_failure(text, command, b"")) from error


def _follow(
    process: subprocess.Popen[bytes],
    streams: _Streams,
    inputs: dict[str, Any],
    line: Callable[[str], None],
    stop: asyncio.Event,
) -> None:
    """Feed and read a process until it has ended and nothing holds its streams."""
    logging = str(inputs.get("logging") or "stdoutAndStderr").lower()
    out, err = (line if name in logging else None for name in ("stdout", "stderr"))
    pumps = [
        threading.Thread(target=_pump, args=(process.stdout, streams.stdout, streams.both, out), daemon=True),
        threading.Thread(target=_pump, args=(process.stderr, streams.stderr, streams.both, err), daemon=True),
        threading.Thread(target=_feed, args=(process.stdin, inputs.get("stdin")), daemon=True),
    ]
    with guarded(process.pid):
        for pump in pumps:
            pump.start()
        process.wait()
    for pump in pumps:
        pump.join(_PIPE_SECONDS if stop.is_set() else None)


async def _kill_when(stop: asyncio.Event, process: subprocess.Popen[bytes]) -> None:
    await stop.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _feed(pipe: IO[bytes] | None, text: str | None) -> None:
    if pipe is None or text is None:
        return
    # A command need not read its input.
    with contextlib.suppress(BrokenPipeError), pipe:
        pipe.write(text.encode())


def _pump(pipe: IO[bytes], own: bytearray, both: bytearray, line: Callable[[str], None] | None) -> None:
    rest = b""
    with pipe:
        while chunk := pipe.read(_CHUNK_BYTES):
            own += chunk
            both += chunk
            *lines, rest = (rest + chunk).split(b"\n")
            for one in lines:
                if line:
                    line(one.decode(errors="replace"))
    if rest and line:
        line(rest.decode(errors="replace"))


def _text(stream: bytearray) -> str:
    return stream.decode(errors="replace").removesuffix("\n")


def _failure(reason: str, command: str, output: bytes) -> str:
    return f"{reason}: running {go_quote(command)}:\n{output.decode(errors='replace')}"


def _signal_words(number: int) -> str:
    words = {signal.SIGKILL: "killed", signal.SIGTERM: "terminated", signal.SIGINT: "interrupt"}
    return words.get(number, signal.strsignal(number) or str(number))  # type: ignore[call-overload, no-any-return]


def go_quote(text: str) -> str:
    """The text as Go's %q prints it."""
    short = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\a": "\\a", "\b": "\\b"}
    short |= {"\f": "\\f", "\v": "\\v"}
    out = ""
    for char in text:
        if char in short:
            out += short[char]
        elif char.isprintable():
            out += char
        else:
            code = ord(char)
            out += (
                f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
            )
    return f'"{out}"'


def collect(patterns: list[str], directory: str) -> dict[str, Path]:
    """Files below `directory` that the patterns choose, by relative path.

    `*` stops at a slash, `**` does not, a leading `!` takes files away again; the last match wins.
    """
    rules = [(not p.startswith("!"), _glob_regex(p.removeprefix("!"))) for p in patterns]
    root = Path(directory or ".").resolve()
    chosen: dict[str, Path] = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            relative = path.relative_to(root).as_posix()
            wanted = False
            for include, pattern in rules:
                if pattern.fullmatch(relative):
                    wanted = include
            if wanted:
                chosen[relative] = path
    return dict(sorted(chosen.items()))


def _glob_regex(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/?|\*|\?)", pattern.removeprefix("./"))
    known = {"**": ".*", "**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(known.get(part, re.escape(part)) for part in parts))


def file_asset(path: Path) -> dict[str, Any]:
    """A file as the engine's asset value."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {SIGNATURE: ASSET_SIGNATURE, "path": str(path), "hash": digest}


def file_archive(files: dict[str, Path]) -> dict[str, Any]:
    """Files as the engine's archive value."""
    return {SIGNATURE: ARCHIVE_SIGNATURE, "assets": {name: file_asset(path) for name, path in files.items()}}
