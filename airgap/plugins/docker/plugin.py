"""The docker provider: its configuration, and which part serves which resource."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Any

import docker
import docker.errors
import requests

from airgap.plugins.base.diff import Diff, compare
from airgap.plugins.base.provider import (
    Failure,
    Provider,
    ProviderError,
    Request,
    refuse_resource,
    refuse_unknown,
)
from airgap.plugins.base.server import serve as serve_provider
from airgap.plugins.base.values import plain
from airgap.plugins.docker import container, image
from airgap.plugins.docker.container import CONTAINER
from airgap.plugins.docker.kind import Kind, bare
from airgap.plugins.docker.network import NETWORK, VOLUME

KINDS = {kind.token: kind for kind in (NETWORK, VOLUME, CONTAINER)}

_DEFAULT_HOST = "unix:///var/run/docker.sock"
_CONFIG = ("host", "version", "pluginDownloadURL")
_TIMEOUT_SECONDS = 900


class DockerProvider(Provider):
    """Works on one Docker Engine."""

    name = "docker"
    version = "5.2.0"
    # As in the official plugin: the engine marks outputs by the names of secret inputs.
    accept_secrets = False

    def __init__(self) -> None:
        super().__init__()
        self._host = ""
        self._client: docker.APIClient | None = None

    async def check_config(self, inputs: dict[str, Any]) -> tuple[dict[str, Any], list[Failure]]:
        """Refuse what is not covered."""
        given = [name for name, value in inputs.items() if plain(value) not in (None, "", [], "[]")]
        return inputs, refuse_unknown("docker", "Provider", given, _CONFIG)

    async def diff_config(self, request: Request) -> Diff:
        """Another host is no reason to make things anew."""
        old, new = plain(request.old_inputs or request.state), plain(request.inputs)
        return Diff({path[:1]: change for path, change in compare(old, new).items()})

    async def configure(self, variables: dict[str, str]) -> None:
        """Connect to the Engine; without one nothing of this package can work."""
        self._host = variables.get("host") or os.environ.get("DOCKER_HOST") or _DEFAULT_HOST
        try:
            self._client = await asyncio.to_thread(
                docker.APIClient, self._host, timeout=_TIMEOUT_SECONDS, version="auto", max_pool_size=16
            )
        except (docker.errors.DockerException, requests.RequestException) as error:
            raise ProviderError(
                f"failed to connect to any docker daemon: {self._host}: {error}; "
                "run ./stack, or set DOCKER_HOST"
            ) from error

    async def check(self, request: Request) -> tuple[dict[str, Any], list[Failure]]:
        """Defaults, names, refusals."""
        if request.type == image.IMAGE:
            return await asyncio.to_thread(image.check, request)
        if request.type not in KINDS:
            return request.inputs, [refuse_resource("docker", request.type, [image.IMAGE, *KINDS])]
        return KINDS[request.type].check(request)

    async def diff(self, request: Request) -> Diff:
        """Compare inputs."""
        return image.diff(request) if request.type == image.IMAGE else KINDS[request.type].diff(request)

    async def create(self, request: Request) -> tuple[str, dict[str, Any]]:
        """Build or make."""
        if request.type == image.IMAGE:
            if request.preview:
                return "", request.inputs
            return await self._build(request)
        kind = KINDS[request.type]
        if request.preview:
            return "", kind.expected(request.inputs)
        id_ = await self._call(lambda client, one: kind.create(client, bare(one.inputs)), request)
        live = await self._call(lambda client, _: kind.inspect(client, id_), request)
        return id_, kind.outputs(request.inputs, live)

    async def update(self, request: Request) -> dict[str, Any]:
        """Build again, or change a container in place; networks and volumes are always made anew."""
        if request.type == image.IMAGE:
            return request.inputs if request.preview else (await self._build(request))[1]
        kind = KINDS[request.type]
        if request.preview:
            return {**request.state, **kind.expected(request.inputs)}
        if kind is CONTAINER:
            await self._call(container.update, request)
        live = await self._call(lambda client, one: kind.inspect(client, one.id), request)
        return kind.outputs(request.inputs, live)

    async def read(self, request: Request) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """The live object; an image is what was built."""
        if request.type == image.IMAGE:
            return request.id, request.state, request.old_inputs
        kind = KINDS[request.type]
        inputs = request.old_inputs or {"name": request.id}
        live = await self._call(lambda client, one: _find(kind, client, one.id), request)
        if live is None:
            return "", {}, {}
        outputs = kind.outputs(inputs, live)
        return request.id, outputs, container.as_it_runs(inputs, outputs) if kind is CONTAINER else inputs

    async def delete(self, request: Request) -> None:
        """Remove; images stay, as with the official plugin."""
        if request.type != image.IMAGE:
            await self._call(lambda client, one: _remove(KINDS[one.type], client, one), request)

    async def _build(self, request: Request) -> tuple[str, dict[str, Any]]:
        id_, outputs = await self._call(lambda client, one: image.build(client, self._host, one), request)
        return id_, outputs

    async def _call(self, function: Callable[[docker.APIClient, Request], Any], request: Request) -> Any:
        """Run a blocking call in a thread; the Engine's errors become the user's."""
        if self._client is None:
            raise ProviderError("the docker provider is not configured")
        try:
            return await asyncio.to_thread(function, self._client, request)
        except docker.errors.APIError as error:
            raise ProviderError(f"Error response from daemon: {error.explanation or error}") from error
        except requests.RequestException as error:
            raise ProviderError(f"the docker daemon does not answer: {error}") from error


def _find(kind: Kind, client: docker.APIClient, id_: str) -> dict[str, Any] | None:
    try:
        return kind.inspect(client, id_)
    except docker.errors.NotFound:
        return None


def _remove(kind: Kind, client: docker.APIClient, request: Request) -> None:
    with contextlib.suppress(docker.errors.NotFound):
        kind.remove(client, request)


async def serve(engine_address: str) -> None:
    """Run the plugin."""
    await serve_provider(DockerProvider, engine_address)
