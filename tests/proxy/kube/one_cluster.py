"""One cluster: gateway and controller as processes against a real API server, for their e2e tests."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

from proxy.kube.world import eventually, made

from components.mesh import rbac
from tests.harness.ports import free_ports

ROOT = Path(__file__).parents[3]
FLOMESH = "/apis/flomesh.io/v1alpha1/namespaces/dapr-test"
SERVICES = "/api/v1/namespaces/dapr-test/services"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/dapr-test/endpointslices"
ENDPOINTS = "/api/v1/namespaces/dapr-test/endpoints"
KEY = "default/default/default/cluster-2"
LOOPBACK = ("--dial-loopback", "--foreign-imports")
"""The other clusters of these tests stand on this machine, and no hub made their imports."""
GATEWAY_RULES = [tuple(rule.values()) for rule in rbac.GATEWAY]
CONTROLLER_RULES = [tuple(rule.values()) for rule in (*rbac.CONTROLLER, *rbac.CONTROLLER_OWN)]
"""All they may do in their cluster, as the program grants it: more than this they must not need."""


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

    def imported(self, remote: int, name: str = "nodeapp", port: int = 3000, named: str = "http") -> None:
        """`named`: the port; empty for one without a name."""
        target = {"host": "127.0.0.1", "ip": "127.0.0.1", "port": remote, "path": "/nodeapp"}
        endpoints = [{"clusterKey": "default/default/default/cluster-1", "target": target}]
        called = {"name": named} if named else {}
        spec = {"ports": [{**called, "port": port, "endpoints": endpoints}]}
        self.apply(f"{FLOMESH}/serviceimports", made("ServiceImport", name, spec))

    def policy(self, kind: str, *names: str, name: str = "nodeapp", every_caller: bool = False) -> None:
        targets = [{"clusterKey": f"default/default/default/{cluster}"} for cluster in names]
        spec = {"lbType": kind, "targets": targets}
        body = made("GlobalTrafficPolicy", name, spec)
        if every_caller:
            body["metadata"]["annotations"] = {"multicluster.flomesh.io/every-caller": "true"}
        self.apply(f"{FLOMESH}/globaltrafficpolicies", body)

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


class Process:
    """One command of the gateway image, with the account the program gives it."""

    def __init__(
        self, folder: Path, server: Any, name: str, rules: list[tuple[Any, ...]], *arguments: str
    ) -> None:
        folder.mkdir(exist_ok=True)
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(server.kubeconfig_with(server.account(name, *rules)))
        self.log = folder / "log"
        self._environment = {
            **os.environ, "PYTHONPATH": str(ROOT / "proxy"), "KUBECONFIG": str(kubeconfig),
            "POD_NAMESPACE": "multicluster-system", "POD_NAME": folder.name, "POD_IP": "10.42.0.10",
        }  # fmt: skip
        self._argv = [sys.executable, "-W", "error", "-m", "gateway", *arguments]
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._argv, env=self._environment, stdout=log, stderr=log)

    def logged(self, words: str) -> bool:
        return words in self.log.read_text()

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(15) == 0, self.log.read_text()
        assert "Traceback" not in self.log.read_text(), self.log.read_text()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def ask(port: int, path: str, host: str) -> tuple[int, str]:
    """Status and body; status 0 when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


class Gateway(Process):
    """A `gateway run` process on free ports."""

    def __init__(self, folder: Path, server: Any) -> None:
        self.listen, self.east_west, self.admin = free_ports(3)
        super().__init__(
            folder, server, "gateway", GATEWAY_RULES, "run", f"--cluster-key={KEY}",
            f"--listen=127.0.0.1:{self.listen}", f"--east-west=127.0.0.1:{self.east_west}",
            f"--admin=127.0.0.1:{self.admin}", f"--cache-dir={folder / 'cache'}", "--no-access-log",
            *LOOPBACK,
        )  # fmt: skip

    def call(self, path: str = "/ports", host: str = "nodeapp.dapr-test:3000") -> tuple[int, str]:
        return ask(self.east_west, path, host)

    @property
    def ready(self) -> bool:
        return ask(self.admin, "/readyz", "x")[0] == 200


class Controller(Process):
    """A `gateway control` process."""

    def __init__(self, folder: Path, server: Any) -> None:
        (self.admin,) = free_ports(1)
        super().__init__(
            folder, server, "controller", CONTROLLER_RULES, "control", f"--cluster-key={KEY}",
            f"--admin=127.0.0.1:{self.admin}", *LOOPBACK,
        )  # fmt: skip

    @property
    def ready(self) -> bool:
        return ask(self.admin, "/readyz", "x")[0] == 200
