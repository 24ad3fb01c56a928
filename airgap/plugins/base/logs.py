"""Log lines to the engine, in order, from any thread."""

import asyncio
import contextlib
from typing import Any

import grpc.aio
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

_FLUSH_SECONDS = 2.0  # a log line must never hold an operation's answer for longer


class Engine:
    """One ordered stream of log lines to the engine; without an address everything is dropped."""

    def __init__(self, address: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self._sender: asyncio.Task[None] | None = None
        if address:
            channel = grpc.aio.insecure_channel(address)
            stub = engine_pb2_grpc.EngineStub(channel)
            self._sender = asyncio.create_task(self._send(stub), name="engine-log")

    async def _send(self, stub: Any) -> None:
        while True:
            line = await self._queue.get()
            # The engine may be gone already at the end of a run: a lost line is not a failed operation.
            with contextlib.suppress(grpc.aio.AioRpcError):
                await stub.Log(line)
            self._queue.task_done()

    def log(self, severity: int, message: str, urn: str, *, ephemeral: bool) -> None:
        """Queue one line; callable from any thread."""
        if self._sender is None:
            return
        line = engine_pb2.LogRequest(severity=severity, message=message, urn=urn, ephemeral=ephemeral)  # type: ignore[arg-type]
        self._loop.call_soon_threadsafe(self._queue.put_nowait, line)

    async def flush(self) -> None:
        """Wait until the lines queued so far are out, so that they come before the operation's answer."""
        if self._sender is None:
            return
        await asyncio.sleep(0)  # lets lines queued from threads arrive
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._queue.join(), _FLUSH_SECONDS)


class Log:
    """Log lines about one resource."""

    def __init__(self, engine: Engine | None, urn: str = "") -> None:
        self._engine = engine
        self._urn = urn
        self._has_status = False

    def _log(self, severity: int, message: str, *, ephemeral: bool = False) -> None:
        if self._engine is not None:
            self._engine.log(severity, message, self._urn, ephemeral=ephemeral)

    def status(self, message: str) -> None:
        """Show a line in the resource's status column only; "" clears what is there."""
        if message or self._has_status:
            self._log(engine_pb2.INFO, message, ephemeral=True)
        self._has_status = bool(message)

    def info(self, message: str) -> None:
        """Show a line in the diagnostics."""
        self._log(engine_pb2.INFO, message)

    def warning(self, message: str) -> None:
        """Show a warning in the diagnostics."""
        self._log(engine_pb2.WARNING, message)

    def status_warning(self, message: str) -> None:
        """Show a warning in the status column only."""
        self._log(engine_pb2.WARNING, message, ephemeral=True)
