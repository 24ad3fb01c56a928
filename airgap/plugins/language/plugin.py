"""The language host: the engine's `LanguageRuntime` service for Python programs."""

import asyncio
import json
import os
import platform
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import grpc.aio
from google.protobuf import empty_pb2
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from airgap.plugins.base.process import run
from airgap.plugins.base.server import new_server, serve_until_stopped
from airgap.plugins.base.values import decode
from airgap.plugins.language.child import REPORTED
from airgap.plugins.language.packages import run_plugin, steps, streamed

_CHILD = Path(__file__).with_name("child.py")
_STOP_SECONDS = 2.0
_VERSION = "import platform; print(platform.python_version())"
_PACKAGES = """
import json
from importlib import metadata
print(json.dumps({one.name: one.version for one in metadata.distributions()}))
"""


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Runs programs; methods carry the protocol's names."""

    def __init__(self, engine_address: str) -> None:
        self._engine_address = engine_address
        self._children: set[asyncio.subprocess.Process] = set()
        self._stops: set[asyncio.Event] = set()
        """Of plugins and installations that run."""

    async def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return language_pb2.LanguageHandshakeResponse()

    async def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return plugin_pb2.PluginInfo(version="3.259.0")

    async def GetRequiredPackages(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        # Empty: resource registrations name the versions they need.
        return language_pb2.GetRequiredPackagesResponse()

    async def Run(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """Run the program to its end in a child interpreter."""
        try:
            python = interpreter(request.info)
        except FileNotFoundError as error:
            return language_pb2.RunResponse(error=str(error))
        folder = Path(request.info.program_directory)
        work = {
            "program": str(folder / request.info.entry_point),
            "args": list(request.args),
            "threads": max(request.parallel, 1) * 4,
            "options": {
                "project": request.project,
                "stack": request.stack,
                "root_directory": request.info.root_directory,
                "parallel": request.parallel,
                "engine_address": self._engine_address,
                "monitor_address": request.monitor_address,
                "preview": request.dryRun,
                "organization": request.organization or "organization",
            },
        }
        environment = {
            **os.environ,
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
            "PYTHONUNBUFFERED": "1",
        }
        process = await asyncio.create_subprocess_exec(
            python, str(_CHILD), json.dumps(work), cwd=request.pwd, env=environment,
            stdin=asyncio.subprocess.PIPE,  # closed by the kernel when this process dies: then the child ends
        )  # fmt: skip
        self._children.add(process)
        try:
            status = await process.wait()
        finally:
            self._children.discard(process)
        if status == 0:
            return language_pb2.RunResponse()
        if status in (REPORTED, -signal.SIGINT, -signal.SIGTERM, -signal.SIGKILL):
            return language_pb2.RunResponse(bail=True)
        return language_pb2.RunResponse(error=f"the program exited with status {status}")

    async def RunPlugin(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802, ARG002
        """Run a plugin that is written in Python, until the engine needs it no more."""
        async with aclosing(run_plugin(interpreter(request.info), request, self._stops)) as items:
            async for item in items:
                yield language_pb2.RunPluginResponse(exitcode=item) if isinstance(item, int) else item

    async def InstallDependencies(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Install the requirements of a program or plugin into the environment that its file names."""
        folder, response = request.info.program_directory, language_pb2.InstallDependenciesResponse
        for argv in steps(environment_of(request.info), Path(folder), sys.executable):
            async with aclosing(streamed(response, argv, folder=folder, stops=self._stops)) as items:
                async for item in items:
                    if not isinstance(item, int):
                        yield item
                    elif item:
                        message = f"{' '.join(argv)} exited with status {item}"
                        await context.abort(grpc.StatusCode.UNKNOWN, message)

    async def GenerateProgram(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        await context.abort(
            grpc.StatusCode.FAILED_PRECONDITION,
            "the closed network's language host cannot write code for what is imported: the import is done; "
            "give --generate-code=false next time, and declare the resource by hand",
        )

    async def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        await self.stop_children()
        return empty_pb2.Empty()

    async def stop_children(self) -> None:
        """End running programs: politely first. Plugins are there to be killed."""
        for stop in self._stops:
            stop.set()
        running = [process for process in self._children if process.returncode is None]
        for process in running:
            process.terminate()
        if running:
            ends = [asyncio.create_task(process.wait()) for process in running]
            await asyncio.wait(ends, timeout=_STOP_SECONDS)
        for process in running:
            if process.returncode is None:
                process.kill()

    async def About(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        python = interpreter(request.info)
        return language_pb2.AboutResponse(executable=python, version=await version(python))

    async def GetProgramDependencies(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """The packages installed for the program."""
        done = await run([interpreter(request.info), "-c", _PACKAGES])
        packages = sorted(json.loads(done.stdout).items())
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[
                language_pb2.DependencyInfo(name=name, version=version) for name, version in packages
            ]
        )


def interpreter(info: Any) -> str:
    """The Python that runs the program: the virtual environment Pulumi.yaml names, else our own.

    Raises FileNotFoundError when the named environment is not there.
    """
    venv = environment_of(info)
    if venv is None:
        return sys.executable
    python = venv / "bin" / "python"
    if not python.exists():
        raise FileNotFoundError(
            f"The 'virtualenv' option is {decode(info.options)['virtualenv']!r}, but {venv} is not a virtual "
            "environment; make it with ./stack, or that of another program with `pulumi install`"
        )
    return str(python)


def environment_of(info: Any) -> Path | None:
    """The virtual environment that Pulumi.yaml or PulumiPlugin.yaml names, whether it is there or not."""
    name = decode(info.options).get("virtualenv")
    return Path(info.root_directory) / name if name else None


async def version(python: str) -> str:
    """The version of an interpreter. Each run of the engine asks for it: our own is known at once."""
    if _is_ours(python):
        return platform.python_version()
    done = await run([python, "-c", _VERSION])
    return done.stdout.decode().strip()


def _is_ours(python: str) -> bool:
    return Path(python).resolve() == Path(sys.executable).resolve()


async def serve(engine_address: str) -> None:
    """Run the language host."""
    host = LanguageHost(engine_address)
    server = new_server()
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    await serve_until_stopped(server, host.stop_children)
