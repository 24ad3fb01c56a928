"""Shared engine, API server and Docker daemon of the plugins' tests on the real thing."""

from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import pytest

from plugins.cluster import Cluster
from plugins.engine import Engine
from tests.harness.api_server import ApiServer


@pytest.fixture(scope="package")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="package")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with ApiServer(tmp_path_factory.mktemp("api"), controllers=True) as server:
        yield server


@pytest.fixture(scope="package")
def docker_client() -> Iterator[docker.DockerClient]:
    client = docker.from_env(version="auto", timeout=120)
    yield client
    client.close()


@pytest.fixture
def kubeconfig(api_server: ApiServer) -> Path:
    return api_server.kubeconfig


@pytest.fixture
def cluster(kubeconfig: Path, request: pytest.FixtureRequest) -> Cluster:
    return Cluster(kubeconfig, request.node.name.replace("_", "-")[:50].rstrip("-"))
