"""Real API servers for the e2e tests."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from proxy.kube.admission import Bound, bind, refuses
from proxy.kube.one_cluster import (
    CONTROLLER_RULES,
    FLOMESH,
    SERVICES,
    SLICES,
    Cluster,
    Controller,
    Gateway,
)
from proxy.kube.world import eventually

from components.mesh.admission import controller_spec
from tests.harness.api_server import ApiServer, NoBinaryError


@pytest.fixture(scope="module")
def api_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], list[ApiServer]]]:
    """Starts so many API servers with our CRDs; they live until the module is done."""

    def start(count: int) -> list[ApiServer]:
        try:
            made = [ApiServer(tmp_path_factory.mktemp("api")) for _ in range(count)]
        except NoBinaryError as error:
            pytest.skip(str(error))
        for server in made:
            running.enter_context(server)
            server.install_crds()
        return made

    with ExitStack() as running:
        yield start


@pytest.fixture(scope="module")
def remote() -> Iterator[int]:
    """The gateway of another cluster, as far as this one can tell: answers with the path it was asked for."""

    class Answer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = f"remote {self.path}".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def cluster(api_servers: Callable[[int], list[Any]]) -> Cluster:
    found = Cluster(api_servers(1)[0])
    for name in ("dapr-test", "multicluster-system"):
        found.server.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    found.gateway_pods("10.42.0.10", "10.42.0.11")
    # Whatever the controller does in these tests, it may do.
    bind(found.server, "controller", controller_spec(account="controller", namespace="multicluster-system"))
    unmarked = {"metadata": {"name": "unmarked"}, "spec": {"ports": [{"port": 1}]}}
    refuses(bound(found.server), "POST", SERVICES, unmarked, "it makes Services with its label only")
    return found


def bound(server: ApiServer) -> Bound:
    """The controller's account."""
    return Bound(server, server.account("controller", *CONTROLLER_RULES))


@pytest.fixture
def clean(cluster: Cluster) -> Iterator[Cluster]:
    yield cluster
    for kind in ("globaltrafficpolicies", "serviceimports", "serviceexports"):
        for item in cluster.get(f"{FLOMESH}/{kind}")["items"]:
            cluster.delete(f"{FLOMESH}/{kind}/{item['metadata']['name']}")
    for path in (SERVICES, SLICES):
        for item in cluster.get(path)["items"]:
            cluster.delete(f"{path}/{item['metadata']['name']}")


@pytest.fixture
def controller(clean: Cluster, tmp_path: Path) -> Iterator[Controller]:
    process = Controller(tmp_path / "controller-0", clean.server)
    eventually(lambda: process.ready, "the controller is ready")
    yield process
    process.stop()


@pytest.fixture
def gateway(clean: Cluster, tmp_path: Path) -> Iterator[Gateway]:
    process = Gateway(tmp_path / "gateway-0", clean.server)
    eventually(lambda: process.ready, "the gateway is ready")
    yield process
    process.stop()
