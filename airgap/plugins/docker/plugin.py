"""The docker provider: its configuration, and which class serves which resource."""

import asyncio
import functools
import os

import docker
import docker.errors
import requests

from airgap.plugins.base.provider import Provider, ProviderError
from airgap.plugins.base.server import serve as serve_provider
from airgap.plugins.docker.container import CONTAINER
from airgap.plugins.docker.image import IMAGE, Images
from airgap.plugins.docker.kind import Objects
from airgap.plugins.docker.network import NETWORK, VOLUME

KINDS = (NETWORK, VOLUME, CONTAINER)

_DEFAULT_HOST = "unix:///var/run/docker.sock"
_TIMEOUT_SECONDS = 900


class DockerProvider(Provider):
    """Works on one Docker Engine."""

    name = "docker"
    version = "5.2.0"
    arguments = ("host", "version", "pluginDownloadURL")
    # As in the official plugin: the engine marks outputs by the names of secret inputs.
    accept_secrets = False

    def __init__(self) -> None:
        super().__init__()
        self._host = os.environ.get("DOCKER_HOST") or _DEFAULT_HOST
        self._client: docker.DockerClient | None = None
        images = Images(lambda: self._host, self.cancelled)
        self.resource_types = {IMAGE: images, **{kind.token: Objects(kind, self._engine) for kind in KINDS}}

    async def configure(self, variables: dict[str, str]) -> None:
        """Connect to the Engine; without one nothing of this package can work."""
        self._host = variables.get("host") or self._host
        try:
            self._client = await asyncio.to_thread(
                docker.DockerClient, self._host, timeout=_TIMEOUT_SECONDS, version="auto", max_pool_size=16
            )
        except (docker.errors.DockerException, requests.RequestException) as error:
            raise ProviderError(
                f"failed to connect to any docker daemon: {self._host}: {error}; "
                "run ./stack, or set DOCKER_HOST"
            ) from error

    def _engine(self) -> docker.DockerClient:
        if self._client is None:
            raise ProviderError("the docker provider is not configured")
        return self._client


serve = functools.partial(serve_provider, DockerProvider)
