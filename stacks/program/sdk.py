"""What costs a program of hundreds of resources most of its time, and need not be done."""

from __future__ import annotations

import asyncio
import gc
import os
from typing import Any

import pulumi
from pulumi.runtime import resource
from pulumi.runtime.proto import source_pb2

DEBUG = "PULUMI_OPTION_DEBUG"
"""The engine's option --debug as a variable, which the program can see as well."""


def keep_quiet() -> None:
    """Send none of the SDK's debug messages, unless the variable above asks for them.

    There are five for each resource, and each is a call to the engine that the program waits for. Without
    --debug the engine throws them away.
    """
    if not _debugged():
        setattr(pulumi.log, "debug", _unsaid)  # noqa: B010 - to the type checker a function is a constant


def forget_positions() -> None:
    """Send no positions in the sources with a registration, unless the variable above is set.

    The SDK sends the whole stack of calls. The engine does nothing with it but keep it: a quarter of the
    state, which each run reads and writes again.
    """
    if not _debugged():
        setattr(resource, "_get_stack_trace", source_pb2.StackTrace)  # noqa: B010 - as above


def _debugged() -> bool:
    return os.environ.get(DEBUG, "").lower() in {"1", "true"}


def _unsaid(*_: Any, **__: Any) -> None:
    pass


def collect_nothing() -> None:
    """Turn the garbage collector off: what a program makes, it keeps until it ends.

    Values and tasks of the SDK are millions of objects that refer to each other, and the collector looks
    through all of them again and again for the few that nobody needs.
    """
    gc.disable()


async def begun() -> None:
    """Return when all registrations that were asked for have begun.

    At a program's end the SDK waits for the registrations that have begun, and only then for all values. Of
    these it looks at every one that is missing whenever one of them is known, so the cost grows with their
    square. Registrations begin when the program first lets the event loop go on.
    """
    await asyncio.sleep(0)
