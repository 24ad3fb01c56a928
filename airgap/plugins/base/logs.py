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

    async def status(self, message: str) -> None:
        """Show a line in the resource's status column only; "" clears what is there."""
        if self._engine is not None and (message or self._has_status):
            line = engine_pb2.LogRequest(
                severity=engine_pb2.INFO, message=message, urn=self._urn, ephemeral=True
            )
            # The engine may be gone already at the end of a run: a lost line is not a failed operation.
            with contextlib.suppress(grpc.aio.AioRpcError):
                await self._engine.Log(line, timeout=_SECONDS)
        self._has_status = bool(message)
