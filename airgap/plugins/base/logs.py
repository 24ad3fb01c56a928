"""Log lines to the engine about one resource."""

import contextlib
from typing import Any

import grpc.aio
from pulumi.runtime.proto import engine_pb2

_SECONDS = 2.0  # a log line must never hold an operation for longer


class Log:
    """Log lines about one resource; without an engine's stub they are dropped."""

    def __init__(self, engine: Any = None, urn: str = "") -> None:
        self._engine = engine
        self._urn = urn
        self._has_status = False

    async def _say(self, severity: int, message: str, *, ephemeral: bool = False) -> None:
        if self._engine is None:
            return
        line = engine_pb2.LogRequest(severity=severity, message=message, urn=self._urn, ephemeral=ephemeral)  # type: ignore[arg-type]
        # The engine may be gone already at the end of a run: a lost line is not a failed operation.
        with contextlib.suppress(grpc.aio.AioRpcError):
            await self._engine.Log(line, timeout=_SECONDS)

    async def status(self, message: str) -> None:
        """Show a line in the resource's status column only; "" clears what is there."""
        if message or self._has_status:
            await self._say(engine_pb2.INFO, message, ephemeral=True)
        self._has_status = bool(message)

    async def info(self, message: str) -> None:
        """Show a line in the diagnostics."""
        await self._say(engine_pb2.INFO, message)

    async def warning(self, message: str) -> None:
        """Show a warning in the diagnostics."""
        await self._say(engine_pb2.WARNING, message)
