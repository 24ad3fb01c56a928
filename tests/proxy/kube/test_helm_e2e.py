"""`helm install` of an app whose name an import holds, by the real helm on a real API server."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from proxy.kube.one_cluster import SERVICES, Cluster, Controller
from proxy.kube.world import eventually

pytestmark = pytest.mark.e2e

NAMESPACE = SERVICES.split("/")[-2]
CHART = {
    "Chart.yaml": "apiVersion: v2\nname: nodeapp\nversion: 1.0.0\n",
    "templates/service.yaml": """\
apiVersion: v1
kind: Service
metadata:
  name: nodeapp
  labels: {app.kubernetes.io/managed-by: {{ .Release.Service }}}
spec:
  selector: {app: nodeapp}
  ports: [{name: http, port: 3000, targetPort: 8080}]
""",
}


class Helm:
    def __init__(self, cluster: Cluster, folder: Path) -> None:
        for name, text in CHART.items():
            path = folder / "chart" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        homes = {f"HELM_{kind}_HOME": str(folder / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        self._env = {**os.environ, **homes, "KUBECONFIG": str(cluster.server.kubeconfig)}
        self._chart = str(folder / "chart")

    def install(self, *flags: str) -> subprocess.CompletedProcess[str]:
        return self._run("install", "nodeapp", self._chart, *flags)

    def uninstall(self) -> subprocess.CompletedProcess[str]:
        return self._run("uninstall", "nodeapp", "--ignore-not-found")

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [binary(), *arguments, f"--namespace={NAMESPACE}"], env=self._env, capture_output=True, text=True,
            check=False, timeout=120,
        )  # fmt: skip


def binary() -> str:
    """The helm of ./stack, on PATH or in its cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "multicluster-dapr" / "tools"
    found = shutil.which("helm") or next((str(path) for path in sorted(cache.glob("helm-*/helm"))), None)
    assert found is not None, "no helm: ./stack up builds it"
    return found


@pytest.fixture
def helm(clean: Cluster, tmp_path: Path) -> Iterator[Helm]:
    made = Helm(clean, tmp_path)
    yield made
    made.uninstall()


def test_helm_refuses_a_name_that_an_import_holds(
    clean: Cluster, controller: Controller, remote: int, helm: Helm
) -> None:
    clean.imported(remote)
    eventually(lambda: clean.derived() is not None, "a derived Service")
    done = helm.install()
    assert done.returncode != 0
    assert "invalid ownership metadata" in done.stderr, "as docs/existing-clusters.md quotes it"
    assert "multicluster-gateway" in done.stderr, "it says whose the Service is"
    assert clean.derived() is not None, "and leaves it as it was"


def test_helm_takes_the_name_when_it_is_told_to_and_the_import_has_it_again_afterwards(
    clean: Cluster, controller: Controller, remote: int, helm: Helm
) -> None:
    clean.imported(remote)
    eventually(lambda: clean.derived() is not None, "a derived Service")
    done = helm.install("--take-ownership")
    assert done.returncode == 0, done.stderr

    def handed_over() -> bool:
        metadata = clean.get(f"{SERVICES}/nodeapp")["metadata"]
        marks = [name for name in metadata["labels"] if name.startswith("multicluster.flomesh.io/")]
        return "ownerReferences" not in metadata and not marks

    eventually(handed_over, "our mark leaves it")
    service = clean.get(f"{SERVICES}/nodeapp")
    assert service["spec"]["selector"] == {"app": "nodeapp"}
    assert [port["targetPort"] for port in service["spec"]["ports"]] == [8080]
    assert service["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
    assert helm.uninstall().returncode == 0

    def imported_again() -> bool:
        found = clean.get(f"{SERVICES}/nodeapp")
        return found is not None and "ownerReferences" in found["metadata"]

    eventually(imported_again, "the import has the name again")
