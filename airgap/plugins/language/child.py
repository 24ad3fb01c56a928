"""Runs one Pulumi program; started by the language host with a JSON object as its only argument.

Stands alone (no import of ours): the program's interpreter need not be the language host's.
"""

import asyncio
import contextlib
import gc
import json
import os
import runpy
import signal
import sys
import threading
import traceback
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

# The engine reads this exit code, by way of the language host, as "the error is already on the screen".
REPORTED = 32
_FRAMES = "_multicluster_dapr_frames"  # attribute of an error: the frames it first passed


def main() -> None:
    """Connect the SDK to the engine, run the program, report its failure once."""
    # A program keeps what it makes until it ends. Looking for what nobody needs took a fifth of its imports.
    gc.disable()
    run = json.loads(sys.argv[1])
    _end_with_the_host()
    signal.signal(signal.SIGINT, _interrupted)
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        import grpc  # noqa: PLC0415
        import pulumi  # noqa: PLC0415
        import pulumi.runtime  # noqa: PLC0415
    except ImportError as error:
        sys.exit(
            f"{sys.executable} has no Pulumi SDK ({error}); install requirements.lock into its environment"
        )
    program = Path(run["program"])
    folder = program if program.is_dir() else program.parent
    sys.argv = [str(program), *run["args"]]
    # For good, not for the run alone: callbacks import lazily after the program's last line.
    sys.path[0] = str(folder)
    pulumi.runtime.reset_options(**run["options"])
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(max_workers=run["threads"]))
    loop.set_exception_handler(_quiet)
    loop.set_task_factory(_remembering)  # type: ignore[arg-type]
    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(lambda: _run_program(program)))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        _leave(REPORTED)
    except grpc.RpcError as error:
        # Without a monitor the engine is shutting down and has said why.
        if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
            pulumi.log.error(f"RPC error: {error.details()}")
        _leave(REPORTED)
    except SystemExit as error:
        if isinstance(error.code, str):
            pulumi.log.error(error.code)
            _leave(REPORTED)
        _leave(int(error.code or 0))
    except Exception as error:
        pulumi.log.error("Program failed with an unhandled exception:\n" + user_traceback(error))
        _leave(REPORTED)
    _leave(0)


def _end_with_the_host() -> None:
    """Exit as soon as the language host is gone, however it went: it holds the other end of our stdin."""
    held = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

    def wait() -> None:
        with contextlib.suppress(OSError):
            os.read(held, 1)
        _leave(REPORTED)

    threading.Thread(target=wait, daemon=True).start()


def _run_program(program: Path) -> None:
    runpy.run_path(str(program), run_name="__main__")


def _remembering(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    """Make tasks that note where an error arose: asyncio forgets it when a second task awaits the first."""

    async def noting() -> Any:
        try:
            return await work
        except Exception as error:
            if not hasattr(error, _FRAMES):
                setattr(error, _FRAMES, traceback.extract_tb(error.__traceback__))
            raise

    return asyncio.Task(noting(), loop=loop, **options)


def user_traceback(error: BaseException) -> str:
    """The error's traceback from the first frame of the user's code on."""
    report = traceback.TracebackException.from_exception(error)
    if hasattr(error, _FRAMES):
        report.stack = getattr(error, _FRAMES)
    one: traceback.TracebackException | None = report
    while one is not None:
        own = [not _is_internal(frame.filename) for frame in one.stack]
        if True in own:
            one.stack = traceback.StackSummary.from_list(list(one.stack)[own.index(True) :])
        elif issubclass(one.exc_type, SyntaxError):  # none of the user's code ran, the error says where it is
            one.stack = traceback.StackSummary()
        one = one.__cause__ or one.__context__
    return "".join(report.format()).rstrip()


def _is_internal(filename: str) -> bool:
    parts = Path(filename).parts
    inside_sdk = "site-packages" in parts and "pulumi" in parts
    return filename == __file__ or filename.startswith("<frozen") or inside_sdk or "asyncio" in parts


def _quiet(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Errors of left-over tasks repeat the one that ended the run: say nothing."""


def _interrupted(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    _leave(REPORTED)


def _leave(status: int) -> None:
    """Exit now: pending tasks and executor threads of a finished run have nothing more to say."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
