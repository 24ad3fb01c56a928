"""The flomesh mesh through the engine on real API servers, with small charts and CRDs of our own.

The charts take the value keys that FSM's and osm-edge's take. What their bootstrap pods do, a thread does:
the CRDs, and the MeshConfig, appear only a while after the release is said to be installed.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from plugins.engine import REPOSITORY, Engine, Stack

from tests.harness.api_server import ApiServer, kube_binary

pytestmark = pytest.mark.e2e

LATER_SECONDS = 3.0
CHARTS = Path(__file__).with_name("charts")
DNS = {
    "apiVersion": "v1", "kind": "Service",
    "metadata": {"name": "kube-dns", "namespace": "kube-system"},
    "spec": {"clusterIP": "10.96.0.10", "ports": [{"port": 53, "protocol": "UDP"}]},
}  # fmt: skip
PROGRAM = """
import sys
sys.path.insert(0, {repository!r})

from pathlib import Path
from types import SimpleNamespace

import pulumi
import pulumi_command as command
import pulumi_kubernetes as kubernetes

from components.cluster.existing_cluster import ExistingCluster, ExistingClusterArgs
from components.flomesh.osm_edge import mesh_namespace
from stacks.program import flomesh
from stacks.config.model import ClusterSettings, Settings
from stacks.program.prepared_cluster import PreparedCluster
from stacks.config.supply import Chart

charts = {{
    "fsm": Chart(chart={charts!r} + "/fsm", version="0.2.1-alpha.3"),
    "osm-edge": Chart(chart={charts!r} + "/osm-edge", version="1.3.1"),
}}
settings = Settings(
    mesh="flomesh",
    clusters=[{{"name": "plane", "role": "control-plane"}}, {{"name": "east", "region": "east"}}],
)
local = pulumi.ResourceOptions(providers=[command.Provider("command")])
shared = SimpleNamespace(settings=settings, supply=SimpleNamespace(mesh_charts=charts), local=local)

def prepare(config, url, kubeconfig):
    made = ExistingCluster(config.name, ExistingClusterArgs(
        key=config.key, kubeconfig=Path(kubeconfig).read_text(), context="default", server=url,
        gateway_host="192.0.2.1", gateway_port=30080,
    )).cluster
    return PreparedCluster(config=config, cluster=made, namespaces={{}}, imported=[])

pairs = zip(settings.clusters, {servers!r}, strict=True)
prepared = {{config.name: prepare(config, *server) for config, server in pairs}}
mesh = flomesh.join(shared, prepared)
kubernetes.core.v1.Namespace(
    "dapr-test", metadata=mesh_namespace("dapr-test"),
    opts=pulumi.ResourceOptions(
        provider=prepared["east"].cluster.provider, depends_on=list(mesh["east"].before_pods)
    ),
)
"""


def _crd(group: str, version: str, kind: str, *, scope: str) -> dict[str, Any]:
    """A CRD that keeps whatever its objects say."""
    plural = f"{kind.lower()}s".replace("ys", "ies")
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": anything}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group, "scope": scope, "names": {"kind": kind, "plural": plural},
            "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
        },
    }  # fmt: skip


class Cluster:
    """An API server, and what FSM's and osm-edge's own pods would do in it."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.stopping = threading.Event()
        self.failure: BaseException | None = None
        self.bootstrap = threading.Thread(target=self._bootstrap, name="bootstrap")

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        argv = [kube_binary(), "kubectl", f"--kubeconfig={self.server.kubeconfig}", *arguments]
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, timeout=60)
        assert not check or done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    def get(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found

    def apply(self, *documents: dict[str, Any]) -> None:
        self.kubectl(
            "apply",
            "--server-side",
            "--field-manager=bootstrap",
            "-f",
            "-",
            stdin=yaml.safe_dump_all(documents),
        )

    def _bootstrap(self) -> None:
        try:
            if self._installed("fsm-manager", "flomesh"):
                for kind in ("Cluster", "ServiceExport", "GlobalTrafficPolicy"):
                    scope = "Cluster" if kind == "Cluster" else "Namespaced"
                    self.apply(_crd("flomesh.io", "v1alpha1", kind, scope=scope))
            if self._installed("osm-bootstrap", "osm-system"):
                preset = self.get("configmap", "preset-mesh-config", "-n", "osm-system")["data"]
                self.apply(_crd("config.openservicemesh.io", "v1alpha2", "MeshConfig", scope="Namespaced"))
                self.kubectl(
                    "wait", "--for=condition=Established", "crd/meshconfigs.config.openservicemesh.io"
                )
                self.apply({
                    "apiVersion": "config.openservicemesh.io/v1alpha2", "kind": "MeshConfig",
                    "metadata": {"name": "osm-mesh-config", "namespace": "osm-system"},
                    "spec": json.loads(preset["preset-mesh-config.json"]),
                })  # fmt: skip
        except BaseException as error:
            self.failure = error
            raise

    def _installed(self, deployment: str, namespace: str) -> bool:
        """Wait for what the release brings, and then as long as a pod takes; False when the test ends."""
        while not self.kubectl("get", "deployment", deployment, "-n", namespace, "--ignore-not-found"):
            if self.stopping.wait(0.5):
                return False
        return not self.stopping.wait(LATER_SECONDS)


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Cluster]]:
    with ExitStack() as stack:
        servers = [ApiServer(tmp_path_factory.mktemp(name), controllers=True) for name in ("plane", "east")]
        for server in servers:
            stack.enter_context(server)
        found = [Cluster(server) for server in servers]
        found[1].apply(DNS)
        for cluster in found:
            cluster.bootstrap.start()
        try:
            yield found[0], found[1]
        finally:
            for cluster in found:
                cluster.stopping.set()
                cluster.bootstrap.join()


@pytest.fixture(scope="module")
def stack(clusters: tuple[Cluster, Cluster], tmp_path_factory: pytest.TempPathFactory) -> Stack:
    folder = tmp_path_factory.mktemp("flomesh")
    engine = Engine(folder / "engine")
    servers = [(c.server.url, str(c.server.kubeconfig)) for c in clusters]
    (folder / "flomesh").mkdir()
    # Commands name the scripts of components as the program does: from its folder.
    (folder / "flomesh" / "components").symlink_to(REPOSITORY / "components")
    return engine.stack(
        folder / "flomesh",
        PROGRAM.format(repository=str(REPOSITORY), charts=str(CHARTS), servers=servers),
    )


def test_everything_waits_for_kinds_that_pods_bring_later(
    stack: Stack, clusters: tuple[Cluster, Cluster]
) -> None:
    stack.up()
    assert not any(cluster.failure for cluster in clusters)


def test_the_charts_get_the_articles_values(clusters: tuple[Cluster, Cluster], stack: Stack) -> None:
    for cluster in clusters:
        manager = cluster.get("deployment", "fsm-manager", "-n", "flomesh")
        assert manager["spec"]["template"]["spec"]["containers"][0]["args"] == ["--v=5"]
    preset = clusters[1].get("configmap", "preset-mesh-config", "-n", "osm-system")["data"]
    assert (preset["mesh-name"], preset["certificate-provider"]) == ("osm", "tresor")
    bootstrap = clusters[1].get("deployment", "osm-bootstrap", "-n", "osm-system")
    assert bootstrap["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] == "Always"


def test_the_mesh_config_is_patched_and_keeps_the_rest(
    clusters: tuple[Cluster, Cluster], stack: Stack
) -> None:
    spec = clusters[1].get("meshconfig", "osm-mesh-config", "-n", "osm-system")["spec"]
    assert spec == {
        "sidecar": {
            "logLevel": "error",
            "localDNSProxy": {"enable": True, "primaryUpstreamDNSServerIPAddr": "10.96.0.10"},
        },
        "traffic": {
            "outboundIPRangeExclusionList": ["10.96.0.1/32"],
            "outboundPortExclusionList": [50005, 8201, 6379],
        },
        "observability": {"osmLogLevel": "warn"},
    }
    namespace = clusters[1].get("namespace", "dapr-test")["metadata"]
    assert namespace["labels"]["openservicemesh.io/monitored-by"] == "osm"
    assert namespace["annotations"]["openservicemesh.io/sidecar-injection"] == "enabled"


def test_the_member_joins_with_a_kubeconfig_that_works(
    clusters: tuple[Cluster, Cluster], stack: Stack, tmp_path: Path
) -> None:
    spec = clusters[0].get("clusters.flomesh.io", "east")["spec"]
    assert {key: spec[key] for key in spec if key != "kubeconfig"} == {
        "region": "east", "zone": "default", "group": "default",
        "gatewayHost": "192.0.2.1", "gatewayPort": 30080,
    }  # fmt: skip
    (tmp_path / "kubeconfig").write_text(spec["kubeconfig"])
    argv = [
        kube_binary(),
        "kubectl",
        f"--kubeconfig={tmp_path / 'kubeconfig'}",
        "get",
        "namespace",
        "osm-system",
    ]
    subprocess.run(argv, check=True, capture_output=True, timeout=60)


def test_a_second_up_changes_nothing_and_no_secret_is_in_clear(
    stack: Stack, clusters: tuple[Cluster, Cluster]
) -> None:
    assert {name: ops for name, ops in stack.changed().items() if ops != ["read"]} == {}
    in_clear = stack.run("stack", "export", "--show-secrets").output
    assert "test-token" in in_clear, "an administrator's token, which FSM wants inline"
    assert "test-token" not in json.dumps(stack.resources())


def test_destroy_takes_everything_back(stack: Stack, clusters: tuple[Cluster, Cluster]) -> None:
    stack.destroy()
    assert not clusters[0].kubectl("get", "clusters.flomesh.io", "-o", "name")
    for cluster in clusters:
        assert not cluster.kubectl("get", "deployments", "-A", "-o", "name")
