"""The gRPC side of a provider: engine calls become `Provider` calls, errors the engine's kinds."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc.aio
from google.protobuf import any_pb2, empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from airgap.plugins.base.diff import Change, Diff, format_path
from airgap.plugins.base.logs import Engine, Log
from airgap.plugins.base.provider import (
    Failure,
    InitFailedError,
    Provider,
    ProviderError,
    Request,
    UnknownFunctionError,
)
from airgap.plugins.base.values import decode, encode

# The engine's own limit: whole charts and states travel in one message.
_MESSAGE_BYTES = 400 << 20
_PARENT_POLL_SECONDS = 1.0
_STOP_SECONDS = 1.0
# Blocking calls sit in threads, and the engine starts as many operations at once as the user lets it.
_THREADS = 64

_KINDS: dict[tuple[Change, bool], Any] = {
    ("add", False): provider_pb2.PropertyDiff.ADD,
    ("add", True): provider_pb2.PropertyDiff.ADD_REPLACE,
    ("delete", False): provider_pb2.PropertyDiff.DELETE,
    ("delete", True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    ("update", False): provider_pb2.PropertyDiff.UPDATE,
    ("update", True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}

_log = logging.getLogger("airgap.plugins")


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """All RPCs of a provider. Methods carry the protocol's names."""

    def __init__(self, provider: Provider, engine: Engine) -> None:
        self._provider = provider
        self._engine = engine

    async def _run(self, context: Any, call: Callable[[], Awaitable[Any]]) -> Any:
        """Await a provider call; errors end the RPC with the user's message and never with a traceback."""
        try:
            return await call()
        except InitFailedError as error:
            detail = any_pb2.Any()
            detail.Pack(
                provider_pb2.ErrorResourceInitFailed(
                    id=error.id,
                    properties=encode(error.properties),
                    inputs=None if error.inputs is None else encode(error.inputs),
                    reasons=error.reasons,
                )
            )
            message = str(error)
            status = status_pb2.Status(
                code=grpc.StatusCode.UNKNOWN.value[0], message=message, details=[detail]
            )
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            await self._engine.flush()
            await context.abort(grpc.StatusCode.UNKNOWN, message)
        except UnknownFunctionError as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        except NotImplementedError:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "not implemented")
        except ProviderError as error:
            await self._engine.flush()
            await context.abort(grpc.StatusCode.UNKNOWN, str(error))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # A fault of the stand-in itself: the traceback is for --debug (stderr), the user gets one line.
            _log.exception("%s failed", self._provider.name)
            await context.abort(
                grpc.StatusCode.UNKNOWN,
                f"fault in the {self._provider.name} stand-in (see --debug): {type(error).__name__}: {error}",
            )

    def _request(self, message: Any, **fields: Any) -> Request:
        kind = message.type or message.urn.split("::")[2].rsplit("$", 1)[-1]
        name = message.name or message.urn.rsplit("::", 1)[-1]
        return Request(urn=message.urn, type=kind, name=name, log=Log(self._engine, message.urn), **fields)

    def _diff_request(self, message: Any) -> Request:
        """What Diff and DiffConfig are asked with: their messages have the same fields."""
        return self._request(
            message,
            id=message.id,
            state=decode(message.olds),
            inputs=decode(message.news),
            old_inputs=decode(message.old_inputs),
            ignore_changes=tuple(message.ignoreChanges),
        )

    async def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=self._provider.accept_secrets, supports_autonaming_configuration=True
        )

    async def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return plugin_pb2.PluginInfo(version=self._provider.version)

    async def GetSchema(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        await context.abort(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"the closed network's {self._provider.name} plugin cannot write code for what is imported: "
            "the import is done; give --generate-code=false next time, and declare the resource by hand",
        )

    async def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        await self._provider.cancel()
        return empty_pb2.Empty()

    async def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        inputs, failures = await self._run(context, lambda: self._provider.check_config(decode(request.news)))
        return provider_pb2.CheckResponse(inputs=encode(inputs), failures=_failures(failures))

    async def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        call = self._diff_request(request)
        diff = await self._run(context, lambda: self._provider.diff_config(call))
        return _diff_response(diff, detailed=False)

    async def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        variables = {key.rsplit(":", 1)[-1]: value for key, value in request.variables.items()}
        await self._run(context, lambda: self._provider.configure(variables))
        return provider_pb2.ConfigureResponse(
            acceptSecrets=self._provider.accept_secrets,
            supportsPreview=True,
            supports_autonaming_configuration=True,
        )

    async def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        log = Log(self._engine)
        result, failures = await self._run(
            context, lambda: self._provider.invoke(request.tok, decode(request.args), log)
        )
        await self._engine.flush()
        response = provider_pb2.InvokeResponse(failures=_failures(failures))
        getattr(response, "return").CopyFrom(encode(result))
        return response

    async def Construct(self, request: Any, context: Any) -> Any:  # noqa: N802
        await context.abort(
            grpc.StatusCode.UNIMPLEMENTED,
            f"the closed network's {self._provider.name} plugin does not cover the component {request.type}; "
            "declare its resources one by one",
        )

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        mode = request.autonaming.mode if request.HasField("autonaming") else None
        call = self._request(
            request,
            old_inputs=decode(request.olds),
            inputs=decode(request.news),
            seed=request.randomSeed,
            proposed_name=request.autonaming.proposed_name if mode is not None else "",
            autonaming_disabled=mode == provider_pb2.CheckRequest.AutonamingOptions.DISABLE,
        )
        inputs, failures = await self._run(context, lambda: self._provider.check(call))
        await self._engine.flush()
        return provider_pb2.CheckResponse(inputs=encode(inputs), failures=_failures(failures))

    async def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        call = self._diff_request(request)
        diff = await self._run(context, lambda: self._provider.diff(call))
        return _diff_response(diff, detailed=True)

    async def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        call = self._request(
            request, inputs=decode(request.properties), preview=request.preview, timeout=request.timeout
        )
        id_, outputs = await self._run(context, lambda: self._provider.create(call))
        await self._engine.flush()
        return provider_pb2.CreateResponse(id=id_, properties=encode(outputs))

    async def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        call = self._request(
            request,
            id=request.id,
            state=decode(request.properties),
            old_inputs=decode(request.inputs),
            timeout=request.timeout,
        )
        id_, outputs, inputs = await self._run(context, lambda: self._provider.read(call))
        await self._engine.flush()
        if not id_:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(id=id_, properties=encode(outputs), inputs=encode(inputs))

    async def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        call = self._request(
            request,
            id=request.id,
            state=decode(request.olds),
            inputs=decode(request.news),
            old_inputs=decode(request.old_inputs),
            preview=request.preview,
            timeout=request.timeout,
            ignore_changes=tuple(request.ignoreChanges),
        )
        outputs = await self._run(context, lambda: self._provider.update(call))
        await self._engine.flush()
        return provider_pb2.UpdateResponse(properties=encode(outputs))

    async def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        call = self._request(
            request,
            id=request.id,
            state=decode(request.properties),
            old_inputs=decode(request.old_inputs),
            timeout=request.timeout,
        )
        await self._run(context, lambda: self._provider.delete(call))
        await self._engine.flush()
        return empty_pb2.Empty()


def _failures(failures: list[Failure]) -> list[Any]:
    return [provider_pb2.CheckFailure(property=f.property, reason=f.reason) for f in failures]


def _diff_response(diff: Diff, *, detailed: bool) -> Any:
    response = provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if diff else provider_pb2.DiffResponse.DIFF_NONE,
        replaces=sorted(format_path(path) for path in diff.replaces),
        diffs=sorted({str(path[0]) for path in diff.changes if path}),
        deleteBeforeReplace=diff.delete_before_replace,
        hasDetailedDiff=detailed,
    )
    if detailed:
        for path, change in diff.changes.items():
            entry = response.detailedDiff[format_path(path)]
            entry.kind = _KINDS[change, path in diff.replaces]
            entry.inputDiff = True
    return response


async def serve(make_provider: Callable[[], Provider], engine_address: str) -> None:
    """Serve a provider until a signal or until the engine, our parent, is gone."""
    engine = Engine(engine_address)
    provider = make_provider()
    server = new_server()
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(provider, engine), server)
    await serve_until_stopped(server, provider.cancel)


def new_server() -> grpc.aio.Server:
    """A gRPC server with the engine's message limits."""
    return grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", _MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MESSAGE_BYTES),
        ]
    )


async def serve_until_stopped(server: grpc.aio.Server, cancel: Callable[[], Awaitable[None]]) -> None:
    """Announce the port on stdout as the engine expects; serve until a signal or the parent's death."""
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_THREADS))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    parent = os.getppid()
    while not stop.is_set() and os.getppid() == parent:
        try:
            await asyncio.wait_for(stop.wait(), _PARENT_POLL_SECONDS)
        except TimeoutError:
            continue
    await cancel()
    await server.stop(_STOP_SECONDS)
    # Threads may still sit in a cancelled operation: nothing of theirs is worth waiting for.
    sys.stdout.flush()
    os._exit(0)
