"""The docker provider: its configuration, and which part serves which resource."""

import asyncio
import os
from collections.abc import Callable
from typing import Any, cast

import docker
import docker.errors
import docker.tls
import requests

from airgap.plugins.base.diff import Diff, compare
from airgap.plugins.base.provider import Failure, InitFailedError, Provider, ProviderError, Request
from airgap.plugins.base.server import serve as serve_provider
from airgap.plugins.base.values import UNKNOWN, has_unknown, plain
from airgap.plugins.docker import containers, image, networks
from airgap.plugins.docker.schema import SCHEMAS, bare, check, diff

VERSION = "5.2.0"
NETWORK = "docker:index/network:Network"
VOLUME = "docker:index/volume:Volume"
CONTAINER = "docker:index/container:Container"

Created = tuple[str, dict[str, Any]]

_DEFAULT_HOST = "unix:///var/run/docker.sock"
_CONFIG = frozenset({"host", "certPath", "disableDockerDaemonCheck", "version", "pluginDownloadURL"})
_TIMEOUT_SECONDS = 900
_COMPUTED = {
    NETWORK: ("driver", "scope", "ipamConfigs", "options", "internal"),
    VOLUME: ("driver", "mountpoint"),
    CONTAINER: ("bridge", "containerLogs", "exitCode", "networkDatas", "hostname", "entrypoints", "command"),
}


class DockerProvider(Provider):
    """Works on one Docker Engine."""

    name = "docker"
    version = VERSION
    accept_secrets = (
        False  # as in the official plugin: the engine marks outputs by the names of secret inputs
    )

    def __init__(self) -> None:
        super().__init__()
        self._client: docker.APIClient | None = None

    async def check_config(self, inputs: dict[str, Any]) -> tuple[dict[str, Any], list[Failure]]:
        """Refuse what is unknown."""
        return inputs, [
            Failure(
                name, f"the closed network's docker plugin has no provider argument {name!r}; leave it out"
            )
            for name, value in inputs.items()
            if name not in _CONFIG and plain(value) not in (None, "", [], "[]")
        ]

    async def diff_config(self, request: Request) -> Diff:
        """Another host is no reason to make things anew."""
        old, new = plain(request.old_inputs or request.state), plain(request.inputs)
        return Diff({path[:1]: change for path, change in compare(old, new).items()})

    async def configure(self, variables: dict[str, str]) -> None:
        """Connect to the Engine; without one nothing of this package can work."""
        host = variables.get("host") or os.environ.get("DOCKER_HOST") or _DEFAULT_HOST
        certificates = variables.get("certPath") or os.environ.get("DOCKER_CERT_PATH")
        tls: Any = False
        if certificates:
            pair = (f"{certificates}/cert.pem", f"{certificates}/key.pem")
            tls = docker.tls.TLSConfig(client_cert=pair, ca_cert=f"{certificates}/ca.pem", verify=True)
        if variables.get("disableDockerDaemonCheck") == "true":
            self._client = docker.APIClient(base_url=host, tls=tls, timeout=_TIMEOUT_SECONDS, version="1.41")
            return
        try:
            self._client = await asyncio.to_thread(
                docker.APIClient,
                base_url=host,
                tls=tls,
                timeout=_TIMEOUT_SECONDS,
                version="auto",
                max_pool_size=16,
            )
        except (docker.errors.DockerException, requests.RequestException) as error:
            raise ProviderError(
                f"failed to connect to any docker daemon: {host}: {error}; run ./stack, or set DOCKER_HOST"
            ) from error

    async def check(self, request: Request) -> tuple[dict[str, Any], list[Failure]]:
        """Defaults, names, refusals."""
        if request.type == image.IMAGE:
            return await asyncio.to_thread(image.check, request)
        schema = SCHEMAS.get(request.type)
        if schema is None:
            known = ", ".join(["Image", *(name.rpartition(":")[2] for name in SCHEMAS)])
            reason = f"the closed network's docker plugin has no {request.type}; it has {known}"
            return request.inputs, [Failure("", reason)]
        return check(request, schema)

    async def diff(self, request: Request) -> Diff:
        """Compare inputs."""
        return image.diff(request) if request.type == image.IMAGE else diff(request, SCHEMAS[request.type])

    async def create(self, request: Request) -> tuple[str, dict[str, Any]]:
        """Build or make."""
        if request.type == image.IMAGE:
            if request.preview and not _previewable(request):
                return "", image.preview(request)
            return cast("Created", await self._call(image.build, request))
        if request.preview:
            return "", _expected(request)
        make = {
            NETWORK: networks.create_network,
            VOLUME: networks.create_volume,
            CONTAINER: containers.create_container,
        }
        return cast("Created", await self._call(make[request.type], request))

    async def update(self, request: Request) -> dict[str, Any]:
        """Build again, or change a container in place."""
        if request.type == image.IMAGE:
            if request.preview and not _previewable(request):
                return image.preview(request)
            _, outputs = await self._call(image.build, request)
            return dict(outputs)
        if request.preview:
            return {**request.state, **_expected(request)}
        if request.type == CONTAINER:
            return dict(await self._call(containers.update_container, request))
        return {**request.state, **request.inputs}

    async def read(self, request: Request) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """The live object."""
        if request.type == image.IMAGE:
            return request.id, request.state, request.old_inputs
        inputs = request.old_inputs or {"name": request.id}
        if request.type == CONTAINER:
            found = await self._call(
                lambda client, one: containers.read_container(client, one.id, inputs), request
            )
            return (request.id, *found) if found else ("", {}, {})
        reader = networks.read_network if request.type == NETWORK else networks.read_volume
        outputs = await self._call(lambda client, one: reader(client, one.id, inputs), request)
        return (request.id, outputs, inputs) if outputs else ("", {}, {})

    async def delete(self, request: Request) -> None:
        """Remove; images stay, as with the official plugin."""
        if request.type == NETWORK:
            await self._call(lambda client, one: networks.delete_network(client, one.id), request)
        elif request.type == VOLUME:
            await self._call(lambda client, one: networks.delete_volume(client, one.id), request)
        elif request.type == CONTAINER:
            await self._call(containers.delete_container, request)

    async def _call(self, function: Callable[[docker.APIClient, Request], Any], request: Request) -> Any:
        """Run a blocking call in a thread; the Engine's errors become the user's."""
        if self._client is None:
            raise ProviderError("the docker provider is not configured")
        try:
            return await asyncio.to_thread(function, self._client, request)
        except (InitFailedError, ProviderError):
            raise
        except docker.errors.APIError as error:
            raise ProviderError(image.describe(error)) from error
        except requests.RequestException as error:
            raise ProviderError(f"the docker daemon does not answer: {error}") from error


def _previewable(request: Request) -> bool:
    """Whether an image is built in a preview: only on request, with everything known."""
    return plain(request.inputs.get("buildOnPreview")) is True and not has_unknown(request.inputs)


def _expected(request: Request) -> dict[str, Any]:
    """Outputs before the fact: inputs, and unknowns for what the Engine fills in."""
    outputs = {key: item for key, item in request.inputs.items() if key != "__defaults"}
    computed = {name: UNKNOWN for name in _COMPUTED[request.type] if name not in bare(request.inputs)}
    return {**computed, **outputs}


async def serve(engine_address: str) -> None:
    """Run the plugin."""
    await serve_provider(DockerProvider, engine_address)
