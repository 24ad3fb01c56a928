"""`gateway run` as a process against a real API server, with real requests through its listeners."""

from __future__ import annotations

import http.client
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from proxy.kube.world import eventually, made

from components.mesh import rbac
from tests.harness.api_server import free_ports

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[3]
FLOMESH = "/apis/flomesh.io/v1alpha1/namespaces/dapr-test"
SERVICES = "/api/v1/namespaces/dapr-test/services"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/dapr-test/endpointslices"
RULES = [tuple(rule.values()) for rule in rbac.GATEWAY]
"""All a gateway may do in its cluster, as the program grants it: more than this it must not need."""


def seconds(check: Callable[[], Any], what: str) -> float:
    """Seconds until `check` is true."""
    started = time.monotonic()
    eventually(check, what)
    return time.monotonic() - started


class Cluster:
    """One API server and what is done to it."""

    def __init__(self, server: Any) -> None:
        self.server = server

    def apply(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        where = f"{path}/{body['metadata']['name']}?fieldManager=test&force=true"
        return dict(self.server.call("PATCH", where, body, content="apply"))

    def get(self, path: str) -> Any:
        try:
            return self.server.call("GET", path)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    def delete(self, path: str) -> None:
        try:
            self.server.call("DELETE", path)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise

    def imported(self, remote: int, name: str = "nodeapp", port: int = 3000) -> None:
        target = {"host": "127.0.0.1", "ip": "127.0.0.1", "port": remote, "path": "/nodeapp"}
        endpoints = [{"clusterKey": "default/default/default/cluster-1", "target": target}]
        spec = {"ports": [{"name": "http", "port": port, "endpoints": endpoints}]}
        self.apply(f"{FLOMESH}/serviceimports", made("ServiceImport", name, spec))

    def policy(self, kind: str, *names: str, name: str = "nodeapp") -> None:
        targets = [{"clusterKey": f"default/default/default/{cluster}"} for cluster in names]
        spec = {"lbType": kind, "targets": targets}
        self.apply(f"{FLOMESH}/globaltrafficpolicies", made("GlobalTrafficPolicy", name, spec))

    def gateway_pods(self, *addresses: str) -> None:
        ready = {"ready": True}
        body = {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "gateway-x", "labels": {"kubernetes.io/service-name": "gateway"}},
            "endpoints": [{"addresses": [address], "conditions": ready} for address in addresses],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        }  # fmt: skip
        self.apply("/apis/discovery.k8s.io/v1/namespaces/multicluster-system/endpointslices", body)

    def derived(self, name: str = "nodeapp") -> list[str] | None:
        """Addresses behind the derived Service; None when there is none."""
        found = self.get(f"{SLICES}/{name}-imported")
        if found is None or self.get(f"{SERVICES}/{name}") is None:
            return None
        return [address for endpoint in found.get("endpoints") or () for address in endpoint["addresses"]]

    def programmed(self, kind: str, name: str = "nodeapp") -> tuple[str, str]:
        found = self.get(f"{FLOMESH}/{kind}/{name}") or {}
        for condition in found.get("status", {}).get("conditions", []):
            if condition["type"] == "Programmed":
                return condition["status"], condition["message"]
        return "", ""


class Gateway:
    """A `gateway run` process on free ports."""

    def __init__(self, folder: Path, server: Any, twin: Gateway | None = None) -> None:
        """A `twin` listens on the same ports of another loopback address, as replicas do."""
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(server.kubeconfig_with(server.account("gateway", *RULES)))
        self.log = folder / "log"
        self.host = "127.0.0.2" if twin else "127.0.0.1"
        self.listen, self.east_west, self.admin = free_ports(3)
        if twin is not None:
            self.listen, self.east_west, self.admin = twin.listen, twin.east_west, twin.admin
        environment = {
            **os.environ, "PYTHONPATH": str(ROOT / "proxy"), "KUBECONFIG": str(kubeconfig),
            "POD_NAMESPACE": "multicluster-system", "POD_NAME": "gateway-0", "POD_IP": "10.42.0.10",
        }  # fmt: skip
        argv = [
            sys.executable, "-W", "error", "-m", "gateway", "run",
            "--cluster-key=default/default/default/cluster-2",
            f"--listen={self.host}:{self.listen}", f"--east-west={self.host}:{self.east_west}",
            f"--admin={self.host}:{self.admin}", f"--cache-dir={folder / 'cache'}", "--no-access-log",
        ]  # fmt: skip
        self._argv, self._environment = argv, environment
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._argv, env=self._environment, stdout=log, stderr=log)

    def ask(self, port: int, path: str, host: str) -> tuple[int, str]:
        """Status and body; status 0 when nobody answers."""
        connection = http.client.HTTPConnection(self.host, port, timeout=5)
        try:
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def call(self, path: str = "/ports", host: str = "nodeapp.dapr-test:3000") -> tuple[int, str]:
        return self.ask(self.east_west, path, host)

    def logged(self, words: str) -> bool:
        return words in self.log.read_text()

    @property
    def ready(self) -> bool:
        return self.ask(self.admin, "/readyz", "x")[0] == 200

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(15) == 0, self.log.read_text()
        assert "Traceback" not in self.log.read_text(), self.log.read_text()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


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
    return found


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
def gateway(clean: Cluster, tmp_path: Path) -> Iterator[Gateway]:
    process = Gateway(tmp_path, clean.server)
    eventually(lambda: process.ready, "the gateway is ready")
    yield process
    process.stop()


def test_traffic_follows_the_policy(
    clean: Cluster, gateway: Gateway, remote: int, capsys: pytest.CaptureFixture[str]
) -> None:
    clean.imported(remote)
    eventually(lambda: clean.derived() == [], "no endpoints, so that callers are refused")
    clean.policy("FailOver", "cluster-1")
    followed = seconds(lambda: gateway.call() == (200, "remote /nodeapp/ports"), "FailOver lets requests out")
    listed = seconds(
        lambda: clean.derived() == ["10.42.0.10", "10.42.0.11"], "the derived Service lists the gateways"
    )
    clean.policy("Locality")
    refused = seconds(lambda: clean.derived() == [], "Locality keeps requests in")
    with capsys.disabled():
        print(
            f"\nrouted {followed * 1000:.0f} ms after the policy changed, filled {listed * 1000:.0f} ms"
            f" later; emptied {refused * 1000:.0f} ms after Locality"
        )


def test_a_derived_service_is_one_without_selector(clean: Cluster, gateway: Gateway, remote: int) -> None:
    clean.imported(remote)
    eventually(lambda: clean.derived() is not None, "a derived Service")
    service, endpoint_slice = clean.get(f"{SERVICES}/nodeapp"), clean.get(f"{SLICES}/nodeapp-imported")
    assert "selector" not in service["spec"]
    assert service["spec"]["clusterIP"].startswith("10.96.")
    assert [(port["name"], port["port"]) for port in service["spec"]["ports"]] == [("http", 3000)]
    assert endpoint_slice["ports"] == [{"name": "http", "port": gateway.east_west, "protocol": "TCP"}]
    for found in (service, endpoint_slice):
        assert found["metadata"]["labels"]["multicluster.flomesh.io/imported"] == "true"
        assert found["metadata"]["ownerReferences"][0]["kind"] == "ServiceImport"


def test_a_derived_service_goes_with_its_import(clean: Cluster, gateway: Gateway, remote: int) -> None:
    clean.imported(remote)
    eventually(lambda: clean.derived() is not None, "a derived Service")
    clean.delete(f"{FLOMESH}/serviceimports/nodeapp")
    eventually(lambda: clean.get(f"{SERVICES}/nodeapp") is None, "its Service goes")
    eventually(lambda: clean.get(f"{SLICES}/nodeapp-imported") is None, "its slice goes")


def test_a_damaged_derived_service_is_repaired(clean: Cluster, gateway: Gateway, remote: int) -> None:
    clean.imported(remote)
    clean.policy("ActiveActive")
    eventually(lambda: clean.derived() == ["10.42.0.10", "10.42.0.11"], "a derived Service")
    clean.delete(f"{SLICES}/nodeapp-imported")
    eventually(lambda: clean.derived() == ["10.42.0.10", "10.42.0.11"], "the slice returns")
    clean.delete(f"{SERVICES}/nodeapp")
    eventually(lambda: clean.derived() == ["10.42.0.10", "10.42.0.11"], "the Service returns")
    clean.gateway_pods("10.42.0.12")
    eventually(lambda: clean.derived() == ["10.42.0.12"], "the gateways of now")
    clean.gateway_pods("10.42.0.10", "10.42.0.11")


def test_a_service_of_somebody_else_is_not_touched(clean: Cluster, gateway: Gateway, remote: int) -> None:
    port = {"name": "web", "port": 3000, "protocol": "TCP"}
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "nodeapp"}, "spec": {"ports": [port]}}
    before = clean.apply(SERVICES, {**body, "spec": {"ports": [port], "selector": {"app": "nodeapp"}}})
    clean.imported(remote)
    eventually(lambda: clean.programmed("serviceimports")[0] == "True", "the import is looked at")
    assert (
        clean.get(f"{SERVICES}/nodeapp")["metadata"]["resourceVersion"]
        == before["metadata"]["resourceVersion"]
    )
    assert clean.get(f"{SLICES}/nodeapp-imported") is None


def test_a_derived_service_that_gets_a_selector_is_handed_over(
    clean: Cluster, gateway: Gateway, remote: int
) -> None:
    clean.imported(remote)
    clean.policy("ActiveActive")
    eventually(clean.derived, "a derived Service")
    clean.server.call(
        "PATCH", f"{SERVICES}/nodeapp", {"spec": {"selector": {"app": "nodeapp"}}}, content="merge"
    )
    eventually(
        lambda: "ownerReferences" not in clean.get(f"{SERVICES}/nodeapp")["metadata"], "our mark leaves it"
    )
    pod = {"addresses": ["10.42.0.30"], "conditions": {"ready": True}}
    body = {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "endpoints": [pod],
        "metadata": {"name": "nodeapp-x", "labels": {"kubernetes.io/service-name": "nodeapp"}},
        "ports": [{"name": "http", "port": 3000, "protocol": "TCP"}],
    }  # fmt: skip
    assert clean.derived(), "while it has no pods, the other clusters answer"
    clean.apply(SLICES, body)
    eventually(lambda: clean.get(f"{SLICES}/nodeapp-imported") is None, "our endpoints leave it")
    body["endpoints"] = [{**pod, "conditions": {"ready": False}}]
    clean.apply(SLICES, body)
    eventually(clean.derived, "its pods are gone, the other clusters answer again")
    clean.delete(f"{FLOMESH}/serviceimports/nodeapp")
    eventually(lambda: clean.get(f"{SLICES}/nodeapp-imported") is None, "nobody else is left")
    assert clean.get(f"{SERVICES}/nodeapp") is not None, "it is theirs now"


def test_objects_say_whether_they_are_routed(clean: Cluster, gateway: Gateway, remote: int) -> None:
    clean.imported(remote)
    clean.policy("ActiveActive", "cluster-9")
    rule = {"portNumber": 80, "path": "/late", "pathType": "Prefix"}
    clean.apply(f"{FLOMESH}/serviceexports", made("ServiceExport", "late", {"rules": [rule]}))
    eventually(lambda: clean.programmed("serviceimports")[0] == "True", "the import is fine")
    eventually(
        lambda: "cluster-9" in clean.programmed("globaltrafficpolicies")[1], "the unknown target is named"
    )
    eventually(lambda: clean.programmed("serviceexports", "late")[0] == "False", "the export has no Service")
    clean.policy("ActiveActive", "cluster-1")
    eventually(lambda: clean.programmed("globaltrafficpolicies")[0] == "True", "the policy is fine now")


def test_two_gateways_write_the_same_and_then_rest(
    clean: Cluster, gateway: Gateway, remote: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Gateway(tmp_path_factory.mktemp("other"), clean.server, gateway)
    try:
        eventually(lambda: other.ready, "the second gateway is ready")
        clean.imported(remote)
        clean.policy("ActiveActive")
        eventually(clean.derived, "a derived Service")
        eventually(lambda: clean.programmed("globaltrafficpolicies")[0] == "True", "its conditions")
        paths = (f"{SERVICES}/nodeapp", f"{SLICES}/nodeapp-imported", f"{FLOMESH}/serviceimports/nodeapp")
        versions = []
        for name in ("second", "third"):  # each makes both gateways look at everything again
            clean.imported(remote, name)
            clean.policy("ActiveActive", name=name)
            host = f"{name}.dapr-test:3000"
            for process in (gateway, other):
                eventually(lambda p=process, h=host: p.call(host=h)[0] == 200, f"{name} is routed")
            eventually(lambda n=name: clean.derived(n), f"{name} has its derived Service")
            eventually(lambda n=name: clean.programmed("serviceimports", n)[0] == "True", "its condition")
            versions.append([clean.get(path)["metadata"]["resourceVersion"] for path in paths])
        assert versions[0] == versions[1]
    finally:
        other.stop()


def test_routes_stay_while_the_api_server_is_away(
    clean: Cluster, gateway: Gateway, remote: int, tmp_path: Path
) -> None:
    clean.imported(remote)
    clean.policy("ActiveActive")
    eventually(lambda: gateway.call()[0] == 200, "routed")
    saved = tmp_path / "cache" / "objects.json"
    eventually(lambda: saved.exists() and "ActiveActive" in saved.read_text(), "kept on disk")
    clean.server.stop_api()
    try:
        eventually(lambda: gateway.logged("following serviceimports"), "it says what it cannot follow")
        assert gateway.call() == (200, "remote /nodeapp/ports")
        gateway.kill()
        gateway.start()
        eventually(lambda: gateway.ready, "ready from disk")
        assert gateway.call() == (200, "remote /nodeapp/ports")
    finally:
        clean.server.start_api()
    clean.policy("Locality")
    eventually(lambda: clean.derived() == [], "follows again after the API server's return", 30)
    assert json.loads(saved.read_text())["clusterKey"] == "default/default/default/cluster-2"


def test_without_anything_on_disk_a_gateway_waits_for_the_api_server(clean: Cluster, tmp_path: Path) -> None:
    clean.server.account("gateway", *RULES)
    clean.server.stop_api()
    try:
        waiting = Gateway(tmp_path, clean.server)
        eventually(lambda: waiting.logged("nothing is saved"), "it says what it waits for")
        assert waiting.ask(waiting.admin, "/livez", "x")[0] == 200
        assert not waiting.ready
    finally:
        clean.server.start_api()
    eventually(lambda: waiting.ready, "ready with the first answer", 30)
    waiting.stop()
