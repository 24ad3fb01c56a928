"""Clusters, the hub's processes and the words for what is done to them, for the e2e tests of the hub."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from components.mesh import rbac

ROOT = Path(__file__).parents[3]
FLOMESH = "/apis/flomesh.io/v1alpha1"
PATIENCE = 20.0
MEMBER = [tuple(rule.values()) for rule in rbac.HUB]
"""All the hub may do in a member, as the program grants it: more than this it must not need."""
HOME = [tuple(rule.values()) for rule in (*rbac.HUB_HOME, *rbac.HUB_OWN)]


def eventually(check: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """The first true answer of `check`; fails with its last one."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = check()
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            found = None
        if found:
            return found
        assert time.monotonic() < deadline, f"{what}: last seen {found!r}"
        time.sleep(0.02)


class Clusters:
    """A control plane and two members, and the words for what the tests do to them."""

    def __init__(self, servers: list[Any], folder: Path) -> None:
        self.home, self.one, self.two = servers
        self.folder = folder

    def join(self, name: str, server: Any, port: int, **spec: Any) -> None:
        secret = {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
            "stringData": {"kubeconfig": server.kubeconfig_with(server.account("multicluster-hub", *MEMBER))},
        }  # fmt: skip
        body = {
            "gatewayHost": "172.28.0.1",
            "gatewayPort": port,
            "kubeconfigSecretRef": {"name": name},
            **spec,
        }
        self.apply(self.home, "/api/v1/namespaces/multicluster-system/secrets", secret)
        self.apply(self.home, f"{FLOMESH}/clusters", made("Cluster", name, body))

    def apply(self, server: Any, path: str, body: dict[str, Any]) -> dict[str, Any]:
        name = body["metadata"]["name"]
        found = server.call("PATCH", f"{path}/{name}?fieldManager=test&force=true", body, content="apply")
        return dict(found)

    def service(self, server: Any, name: str = "nodeapp", port: int = 3000, **spec: Any) -> None:
        ports = [{"name": "http", "port": port, "protocol": "TCP"}]
        body = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"ports": ports, **spec},
        }
        self.apply(server, "/api/v1/namespaces/dapr-test/services", body)

    def export(
        self, server: Any, name: str = "nodeapp", path: str = "/nodeapp", port: int = 3000, **spec: Any
    ) -> None:
        rules = [{"portNumber": port, "path": path, "pathType": "Prefix"}]
        body = made("ServiceExport", name, {"rules": rules, **spec})
        self.apply(server, f"{FLOMESH}/namespaces/dapr-test/serviceexports", body)

    def younger(self, server: Any, path: str) -> None:
        """Until what is made next is younger than this object, for the older export wins."""
        text = server.call("GET", path)["metadata"]["creationTimestamp"]
        second = datetime.fromisoformat(text).timestamp()
        eventually(lambda: time.time() >= second + 1, "the next second")

    def remove(self, server: Any, path: str) -> None:
        server.call("DELETE", path)

    def imported(self, server: Any, name: str = "nodeapp") -> dict[int, set[str]]:
        """Names of the exporting clusters by port."""
        try:
            found = server.call("GET", f"{FLOMESH}/namespaces/dapr-test/serviceimports/{name}")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return {}
        return {
            port["port"]: {endpoint["clusterKey"].split("/")[-1] for endpoint in port["endpoints"]}
            for port in found["spec"]["ports"]
        }

    def expect_import(self, server: Any, wanted: dict[int, set[str]], name: str = "nodeapp") -> float:
        """Seconds until the import says this."""
        started = time.monotonic()
        eventually(lambda: self.imported(server, name) == wanted, f"import {name} as {wanted}")
        return time.monotonic() - started

    def condition(self, server: Any, path: str, kind: str) -> tuple[str, str]:
        for condition in server.call("GET", path).get("status", {}).get("conditions", []):
            if condition["type"] == kind:
                return condition["status"], condition["message"]
        return "", ""

    def expect(self, server: Any, path: str, kind: str, status: str, words: str = "") -> None:
        def check() -> bool:
            found = self.condition(server, path, kind)
            return found[0] == status and words in found[1]

        eventually(check, f"{kind}={status} {words!r} on {path}")


def made(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "flomesh.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def namespace(server: Any, name: str) -> None:
    try:
        server.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    except urllib.error.HTTPError as error:
        if error.code != 409:
            raise


class Process:
    """The gateway image's command, run from the source tree."""

    def __init__(self, folder: Path, server: Any, *arguments: str, **environ: str) -> None:
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(server.kubeconfig_with(server.account("hub-home", *MEMBER, *HOME)))
        self.log = folder / "log"
        environment = {
            **os.environ, "PYTHONPATH": str(ROOT / "proxy"), "KUBECONFIG": str(kubeconfig),
            "POD_NAMESPACE": "multicluster-system", **environ,
        }  # fmt: skip
        with self.log.open("wb") as log:
            argv = [sys.executable, "-W", "error", "-m", "gateway", *arguments]
            self._process = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)

    def stop(self) -> int:
        """Exit code after SIGTERM."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
