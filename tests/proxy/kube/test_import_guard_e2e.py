"""The admission policy against a real API server: who may write imports that count."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from proxy.kube.world import MEMBER, eventually

from gateway.core.objects import HUB, MANAGED_BY
from tests.harness.api_server import kube_binary

pytestmark = pytest.mark.e2e

GUARD = Path(__file__).parents[3] / "proxy" / "admission" / "serviceimports.yaml"
TENANT = [(["flomesh.io"], ["serviceimports"], ["get", "create", "patch", "update", "delete"])]


@pytest.fixture(scope="module")
def server(api_servers: Callable[[int], list[Any]]) -> Any:
    (found,) = api_servers(1)
    for name in ("team", "multicluster-system"):
        found.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    found.kubectl("apply", "-f", str(GUARD))
    eventually(
        lambda: "hub alone" in As(found, "tenant", TENANT).apply("probe", hub=True), "the policy holds"
    )
    return found


class As:
    """One account's own kubectl."""

    def __init__(self, server: Any, name: str, rules: Any) -> None:
        self._kubeconfig = server.folder / name
        self._kubeconfig.write_text(server.kubeconfig_with(server.account(name, *rules)))

    def apply(self, name: str, *, hub: bool, ip: str = "10.9.9.9") -> str:
        target = {"host": ip, "ip": ip, "port": 80, "path": "/"}
        endpoint = {"clusterKey": "default/default/default/c1", "target": target}
        body = {
            "apiVersion": "flomesh.io/v1alpha1", "kind": "ServiceImport",
            "metadata": {"name": name, "namespace": "team", "labels": {MANAGED_BY: HUB} if hub else {}},
            "spec": {"ports": [{"port": 80, "endpoints": [endpoint]}]},
        }  # fmt: skip
        return self._kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(body))

    def label(self, name: str, value: str) -> str:
        return self._kubectl(
            "label", "serviceimport", "-n", "team", name, f"{MANAGED_BY}{value}", "--overwrite"
        )

    def delete(self, name: str) -> str:
        return self._kubectl("delete", "serviceimport", "-n", "team", name)

    def _kubectl(self, *arguments: str, stdin: str = "") -> str:
        argv = [kube_binary(), "kubectl", f"--kubeconfig={self._kubeconfig}", *arguments]
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, timeout=60)
        return done.stdout + done.stderr


def test_only_the_hub_writes_imports_that_count(server: Any) -> None:
    hub, tenant = As(server, "multicluster-hub", MEMBER), As(server, "tenant", TENANT)
    assert "serverside-applied" in hub.apply("made", hub=True)
    assert "hub alone" in tenant.apply("made", hub=True, ip="127.0.0.1")
    assert "hub alone" in tenant.label("made", "-")
    assert "serverside-applied" in tenant.apply("own", hub=False), "RBAC says who makes others"
    assert "hub alone" in tenant.label("own", f"={HUB}")
    assert "labeled" in tenant.label("own", "=me")
    assert "deleted" in tenant.delete("made"), "the hub makes it again"
    server.kubectl("label", "serviceimport", "-n", "team", "own", f"{MANAGED_BY}={HUB}", "--overwrite")
