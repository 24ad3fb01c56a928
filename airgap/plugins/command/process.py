"""Run one command of a local.Command: its environment, and the errors users see."""

import asyncio
import json
import signal
from typing import Any

from airgap.plugins.base.logs import Log
from airgap.plugins.base.process import run
from airgap.plugins.base.provider import ProviderError


async def run_command(
    command: str, inputs: dict[str, Any], extra: dict[str, str], log: Log, stop: asyncio.Event
) -> tuple[str, str]:
    """Run `command` as `inputs` (plain values) say; answers stdout and stderr, each less a final newline."""
    argv = [*(inputs.get("interpreter") or ["/bin/sh", "-c"]), command]
    folder = inputs.get("dir") or None
    shown = str(inputs.get("logging") or "stdoutAndStderr").lower()
    try:
        done = await run(
            argv,
            environment={**(inputs.get("environment") or {}), **extra},
            folder=folder,
            stdin=inputs.get("stdin"),
            out=log.status if "stdout" in shown else None,
            err=log.status if "stderr" in shown else None,
            stop=stop,
        )
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        text = f"fork/exec {argv[0]}: {reason}"
        if error.filename == folder:
            text = f"chdir {folder}: {reason}"
        elif "/" not in argv[0]:
            text = f"exec: {_quoted(argv[0])}: executable file not found in $PATH"
        raise ProviderError(_failure(text, command)) from error
    if done.status != 0:
        reason = f"exit status {done.status}" if done.status > 0 else f"signal: {_signal(-done.status)}"
        raise ProviderError(_failure(reason, command, done.both))
    return _text(done.stdout).removesuffix("\n"), _text(done.stderr).removesuffix("\n")


def _text(stream: bytes | bytearray) -> str:
    return stream.decode(errors="replace")


def _failure(reason: str, command: str, output: bytes | bytearray = b"") -> str:
    return f"{reason}: running {_quoted(command)}:\n{_text(output)}"


def _signal(number: int) -> str:
    return (signal.strsignal(number) or str(number)).lower()


def _quoted(text: str) -> str:
    """The text as Go prints it, which is as JSON has it but for rare control characters."""
    return json.dumps(text, ensure_ascii=False)
