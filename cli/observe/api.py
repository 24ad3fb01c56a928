"""A cluster's API over HTTP: directly where its kubeconfig says all, else through `kubectl proxy`.

kubectl knows every way a kubeconfig may authenticate; the proxy, on a private socket, makes of it one process
per cluster that answers any number of parallel requests. To start one for each cluster costs a quarter of a
second of CPU time each, which those made here, with certificates in their kubeconfigs, do without.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp

from cli import ending
from cli.errors import UserError
from cli.observe.direct import direct

ANSWER_SECONDS = 4.0
"""Patience of one request. A stopped node swallows packets: nothing sooner tells it from a slow one."""
PROXY_SECONDS = 30.0
"""Patience for `kubectl proxy` to listen; it asks nobody for that, but a busy machine starts it slowly."""
CONNECTIONS = 8
"""To one API server at a time: what is asked for beyond that waits less than another handshake takes."""


class ApiError(Exception):
    """What a cluster answered instead of what was asked. `status` is 0 when it did not answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class ClientConfig:
    """How one cluster is reached."""

    kubeconfig: str = field(repr=False)
    context: str | None = None


class Api:
    """One cluster's API server, open inside an `async with`."""

    def __init__(self, folder: Path, name: str, config: ClientConfig, env: Mapping[str, str]) -> None:
        """`folder` is private: kubeconfig and socket lie in it."""
        self.name = name
        self.kubeconfig = folder / f"{name}.kubeconfig"
        self._socket = folder / f"{name}.sock"
        self._config = config
        self._env = dict(env)
        self._proxy: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:  # Ctrl-C too: nobody else would end the proxy
            await self._close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def _open(self) -> None:
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(self._config.kubeconfig)
        found = direct(self._config.kubeconfig, self._config.context, self.kubeconfig.parent, self._env)
        if found is None:
            await self._open_proxy()
        else:
            connector = aiohttp.TCPConnector(ssl=found.tls, limit=CONNECTIONS)
            self._session = _session(found.server, connector, found.headers)

    async def _open_proxy(self) -> None:
        try:
            self._proxy = await asyncio.create_subprocess_exec(
                *self.kubectl("proxy", f"--unix-socket={self._socket}"),
                env=self._env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is ours to handle: --watch ends in order
            )
        except FileNotFoundError as error:
            raise UserError("kubectl is not installed or not on PATH; run ./stack up first.") from error
        self._session = _session("http://localhost", aiohttp.UnixConnector(str(self._socket)), {})
        assert self._proxy.stdout is not None  # noqa: S101 - PIPE was asked for
        with contextlib.suppress(TimeoutError):  # then the first request tells
            async with asyncio.timeout(PROXY_SECONDS):
                await self._proxy.stdout.readline()  # "Starting to serve on ..."

    async def _close(self) -> None:
        if self._session is not None:
            await self._session.close()
        if self._proxy is not None and self._proxy.returncode is None:
            self._proxy.terminate()
            await self._proxy.wait()

    def kubectl(self, *arguments: str) -> list[str]:
        """argv of kubectl on this cluster."""
        context = ["--context", self._config.context] if self._config.context else []
        return ["kubectl", "--kubeconfig", str(self.kubeconfig), *context, *arguments]

    async def text(self, path: str) -> str:
        """A page as text. Raises ApiError with the server's own words."""
        if self._session is None:
            raise RuntimeError("the API was not opened")
        try:
            async with self._session.get(path) as answer:
                body = await answer.text(errors="replace")
                if answer.status >= 400:
                    raise ApiError(_message(body), answer.status)
                return body
        except TimeoutError as error:
            raise ApiError(f"does not answer within {ANSWER_SECONDS:.0f} s") from error
        except aiohttp.ClientError as error:
            who = "the API server" if self._proxy is None else "kubectl proxy"
            # Of a failed handshake aiohttp's own words show the TLS context.
            why = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
            raise ApiError(f"{who} does not answer: {why}") from error

    async def json(self, path: str) -> Any:
        """A page as JSON. Raises ApiError."""
        body = await self.text(path)
        try:
            return json.loads(body)
        except ValueError as error:
            raise ApiError(f"{path} is no JSON: {body[:100]!r}") from error

    async def execute(self, *arguments: str, timeout: float) -> str:  # noqa: ASYNC109 - the child is ended
        """Standard output of kubectl. Raises ApiError when it fails, or after `timeout` seconds."""
        child = await asyncio.create_subprocess_exec(
            *self.kubectl(*arguments), env=self._env, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            async with asyncio.timeout(timeout):
                output, errors = await child.communicate()
        except TimeoutError as error:
            raise ApiError(f"kubectl {arguments[0]} did not finish within {timeout:.0f} s") from error
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if child.returncode:
            raise ApiError(errors.decode(errors="replace").strip())
        return output.decode(errors="replace")


@asynccontextmanager
async def open_apis(
    configs: Mapping[str, ClientConfig], env: Mapping[str, str]
) -> AsyncIterator[dict[str, Api]]:
    """Every cluster's API by its name; kubeconfigs lie in a private folder that goes at the end."""
    async with AsyncExitStack() as stack:
        # The proxies are of another session and the kubeconfigs on disk: nothing else would clear them away.
        stack.enter_context(ending.terminated_as_interrupted())
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="multicluster-dapr-"))  # mode 0700
        apis = {name: Api(Path(folder), name, config, env) for name, config in configs.items()}
        await asyncio.gather(*(stack.enter_async_context(api) for api in apis.values()))
        yield apis


def _session(
    server: str, connector: aiohttp.BaseConnector, headers: Mapping[str, str]
) -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    return aiohttp.ClientSession(server, connector=connector, headers=headers, timeout=timeout)


def _message(body: str) -> str:
    """The words of a Kubernetes Status, or the text itself on one line."""
    try:
        status = json.loads(body)
    except ValueError:
        status = None
    said = status.get("message") if isinstance(status, dict) else None
    return " ".join(str(said or body).split())[:500]
