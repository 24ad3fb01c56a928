"""The gRPC side of a provider: engine calls become `Provider` calls, errors the engine's kinds."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import grpc.aio
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc

from airgap.plugins.base.diff import Diff, format_path
from airgap.plugins.base.logs import Log
from airgap.plugins.base.provider import Failure, Provider, ProviderError, Request
from airgap.plugins.base.values import decode, encode

# The engine's own limit: whole charts and states travel in one message.
_MESSAGE_BYTES = 400 << 20
_PARENT_POLL_SECONDS = 1.0
_STOP_SECONDS = 1.0

_log = logging.getLogger("airgap.plugins")


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """All RPCs of a provider. Methods carry the protocol's names; `engine` is where log lines go."""

    def __init__(self, provider: Provider, engine: Any = None) -> None:
        self._provider = provider
        self._engine = engine

    async def _answer(self, context: Any, call: Awaitable[Any]) -> Any:
        """Await a provider's call; errors end the RPC with the user's message and never with a traceback."""
        try:
            return await call
        except ProviderError as error:
            message = str(error)
        except Exception as error:
            # A fault of the plugin itself: the traceback is for --debug (stderr), the user gets one line.
            name = self._provider.name
            _log.exception("%s failed", name)
            message = f"fault in the {name} replacement plugin (see --debug): {type(error).__name__}: {error}"
        return await context.abort(grpc.StatusCode.UNKNOWN, message)

    def _request(self, message: Any, **properties: Any) -> Request:
        """What a call is about. Messages name the same properties differently, and few have all fields."""
        kind, name = message.urn.split("::", 3)[2:]
        return Request(
            urn=message.urn,
            type=kind.rpartition("$")[2],
            name=name,
            log=Log(self._engine, message.urn),
            id=getattr(message, "id", ""),
            preview=getattr(message, "preview", False),
            timeout=getattr(message, "timeout", 0),
            **{field: decode(values) for field, values in properties.items()},
        )

    async def _ask(self, context: Any, what: str, message: Any, **properties: Any) -> Any:
        """Call the method `what` of what serves the resource."""
        call = self._request(message, **properties)

        async def ask() -> Any:
            return await getattr(self._provider.resource_type(call.type), what)(call)

        return await self._answer(context, ask())

    async def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=self._provider.accept_secrets)

    async def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return plugin_pb2.PluginInfo(version=self._provider.version)

    async def GetSchema(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        await context.abort(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"the closed network's {self._provider.name} plugin cannot write code for what is imported: "
            "the import is done; give --generate-code=false next time, and declare the resource by hand",
        )

    async def Construct(self, request: Any, context: Any) -> Any:  # noqa: N802
        await context.abort(
            grpc.StatusCode.UNIMPLEMENTED,
            f"the closed network's {self._provider.name} plugin does not cover the component {request.type}; "
            "declare its resources one by one",
        )

    async def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        await self._provider.cancel()
        return empty_pb2.Empty()

    async def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        checked = await self._answer(context, self._provider.check_config(decode(request.news)))
        return _check_response(*checked)

    async def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        call = self._request(request, **_change(request))
        diff = await self._answer(context, self._provider.diff_config(call))
        return _diff_response(diff, detailed=False)

    async def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        variables = {key.rsplit(":", 1)[-1]: value for key, value in request.variables.items()}
        await self._answer(context, self._provider.configure(variables))
        return provider_pb2.ConfigureResponse(
            acceptSecrets=self._provider.accept_secrets, supportsPreview=True
        )

    async def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        call = self._provider.invoke(request.tok, decode(request.args), Log(self._engine))
        result, failures = await self._answer(context, call)
        return provider_pb2.InvokeResponse(**{"return": encode(result)}, failures=_failures(failures))

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        news, olds = request.news, request.olds
        return _check_response(*await self._ask(context, "check", request, inputs=news, old_inputs=olds))

    async def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        diff = await self._ask(context, "diff", request, **_change(request))
        return _diff_response(diff, detailed=True)

    async def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        id_, outputs = await self._ask(context, "create", request, inputs=request.properties)
        return provider_pb2.CreateResponse(id=id_, properties=encode(outputs))

    async def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        state, old_inputs = request.properties, request.inputs
        found = await self._ask(context, "read", request, state=state, old_inputs=old_inputs)
        id_, outputs, inputs = found
        return provider_pb2.ReadResponse(id=id_, properties=encode(outputs), inputs=encode(inputs))

    async def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        outputs = await self._ask(context, "update", request, **_change(request))
        return provider_pb2.UpdateResponse(properties=encode(outputs))

    async def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        state, old_inputs = request.properties, request.old_inputs
        await self._ask(context, "delete", request, state=state, old_inputs=old_inputs)
        return empty_pb2.Empty()


def _change(message: Any) -> dict[str, Any]:
    """The properties that Diff, DiffConfig and Update are asked with."""
    return {"state": message.olds, "inputs": message.news, "old_inputs": message.old_inputs}


def _failures(failures: list[Failure]) -> list[Any]:
    return [provider_pb2.CheckFailure(property=f.property, reason=f.reason) for f in failures]


def _check_response(inputs: dict[str, Any], failures: list[Failure]) -> Any:
    return provider_pb2.CheckResponse(inputs=encode(inputs), failures=_failures(failures))


def _diff_response(diff: Diff, *, detailed: bool) -> Any:
    some, none = provider_pb2.DiffResponse.DIFF_SOME, provider_pb2.DiffResponse.DIFF_NONE
    response = provider_pb2.DiffResponse(
        changes=some if diff.changes else none,
        replaces=sorted(format_path(path) for path in diff.replaces),
        diffs=sorted({str(path[0]) for path in diff.changes if path}),
        deleteBeforeReplace=diff.delete_before_replace,
        hasDetailedDiff=detailed,
    )
    for path, change in diff.changes.items() if detailed else ():
        kind = f"{change}_replace" if path in diff.replaces else change
        entry = response.detailedDiff[format_path(path)]
        entry.kind = provider_pb2.PropertyDiff.Kind.Value(kind.upper())
        entry.inputDiff = True
    return response


async def serve(make_provider: Callable[[], Provider], engine_address: str) -> None:
    """Serve a provider until a signal or until the engine, our parent, is gone."""
    engine = engine_pb2_grpc.EngineStub(grpc.aio.insecure_channel(engine_address)) if engine_address else None
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


async def serve_until_stopped(server: grpc.aio.Server, cancel: Callable[[], Awaitable[Any]]) -> None:
    """Announce the port on stdout as the engine expects; serve until a signal or the parent's death."""
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
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
