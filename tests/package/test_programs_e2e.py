"""The programs of docs/components.md on the real engine and two real API servers: word for word, but for the
address of one of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from docs.documents import ROOT, blocks
from plugins.engine import Engine, Stack
from proxy.kube.world import eventually

from package.conftest import environment, pip
from tests.harness.api_server import ApiServer

pytestmark = pytest.mark.e2e

FLOMESH = "/apis/flomesh.io/v1alpha1"
SYSTEM = "/api/v1/namespaces/multicluster-system"
PAGE = ROOT / "docs" / "components.md"


def documented(language: str) -> str:
    """The first block of the document in this language."""
    return next(block.text for block in blocks(PAGE) if block.language == language)


@dataclass(frozen=True)
class World:
    """Where a program of the document runs: its `east` is one of the servers here."""

    engine: Engine
    servers: dict[str, ApiServer]
    home: Path

    def here(self, program: str) -> str:
        """The program with the address of the API server that is `east` here."""
        assert "https://192.0.2.20:6443" in program
        return program.replace("https://192.0.2.20:6443", self.servers["east"].url)

    def get(self, cluster: str, path: str) -> Any:
        return self.servers[cluster].call("GET", path)

    def namespaces(self) -> None:
        """What the document says has to be there, and the Service that is exported."""
        for server in self.servers.values():
            server.kubectl("create", "namespace", "shop")
        self.servers["east"].kubectl("create", "service", "clusterip", "checkout", "--tcp=8080", "-n", "shop")

    def gone(self) -> None:
        """Nothing of a mesh is left."""
        for server in self.servers.values():
            assert "flomesh.io" not in server.kubectl("get", "crds", "-o", "name")
            assert "multicluster" not in server.kubectl("get", "namespaces,clusterroles", "-o", "name")
            server.kubectl("delete", "namespace", "shop")


@pytest.fixture
def world(engine: Engine, servers: dict[str, ApiServer], home: Path, tmp_path: Path) -> World:
    made = World(engine, servers, home)
    made.engine.environment["HOME"] = str(home)
    made.namespaces()
    return made


def check_joined(world: World, run: Callable[[], Stack], tmp_path: Path) -> None:
    """Bring a program up; see that it joined the clusters and that nothing changes by itself; and its end."""
    stack = run()
    (rule,) = world.get("east", f"{FLOMESH}/namespaces/shop/serviceexports/checkout")["spec"]["rules"]
    assert rule == {"portNumber": 8080, "path": "/checkout", "pathType": "Prefix"}
    policy = world.get("hub", f"{FLOMESH}/namespaces/shop/globaltrafficpolicies/checkout")["spec"]
    assert policy == {"lbType": "FailOver", "targets": [{"clusterKey": "default/default/default/east"}]}
    assert world.get("hub", f"{SYSTEM}/services/gateway")["spec"]["ports"][0]["nodePort"] == 30080
    for name in world.servers:
        deployments = world.get(name, "/apis/apps/v1/namespaces/multicluster-system/deployments")["items"]
        wanted = {"gateway", "controller"} | ({"multicluster-hub"} if name == "hub" else set())
        assert {one["metadata"]["name"] for one in deployments} == wanted
    _hub_imports(world, tmp_path)
    assert stack.changed() == {}
    stack.destroy()
    stack.run("stack", "rm", "--yes")
    world.gone()


def _hub_imports(world: World, tmp_path: Path) -> None:
    """Run the hub as its Deployment has it, by its account there: `hub` imports what `east` exports."""
    deployment = world.get("hub", "/apis/apps/v1/namespaces/multicluster-system/deployments/multicluster-hub")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    arguments = ["--admin=127.0.0.1:0" if one.startswith("--admin=") else one for one in container["args"]]
    account = f"{SYSTEM}/serviceaccounts/multicluster-hub/token"
    token = world.servers["hub"].call("POST", account, {"spec": {}})["status"]["token"]
    kubeconfig = tmp_path / "hub.kubeconfig"
    kubeconfig.write_text(world.servers["hub"].kubeconfig_with(token))
    environ = {"PYTHONPATH": str(ROOT / "proxy"), "KUBECONFIG": str(kubeconfig)}
    log = tmp_path / "hub.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", *arguments],
            env={**os.environ, **environ, "POD_NAMESPACE": "multicluster-system"},
            stdout=output,
            stderr=output,
        )
    try:
        path = f"{FLOMESH}/namespaces/shop/serviceimports/checkout"
        found = eventually(lambda: world.get("hub", path), f"an import, see {log}")
        (port,) = found["spec"]["ports"]
        assert [endpoint["clusterKey"] for endpoint in port["endpoints"]] == ["default/default/default/east"]
    finally:
        process.terminate()
        assert process.wait(20) is not None
    # No hub runs any longer that would take it off when the cluster leaves.
    patch = {"metadata": {"finalizers": None}}
    world.servers["hub"].call("PATCH", f"{FLOMESH}/clusters/east", patch, content="merge")


def _python(world: World, wheel: Path, folder: Path, program: str) -> Stack:
    """Bring up a program that has the package in an environment of its own."""
    stack = world.engine.stack(folder, program)
    pip(environment(folder / ".venv"), "install", "--no-deps", str(wheel))
    (folder / "Pulumi.yaml").write_text(
        f"name: {folder.name}\nruntime: {{name: python, options: {{virtualenv: .venv}}}}\n"
    )
    stack.up()
    return stack


def test_the_python_program_joins_two_clusters(world: World, wheel: Path, tmp_path: Path) -> None:
    folder = tmp_path / "two-clusters"
    program = documented("python")
    assert len([line for line in program.splitlines() if line and "import" not in line]) <= 12

    check_joined(world, lambda: _python(world, wheel, folder, world.here(program)), tmp_path)


def test_the_yaml_program_joins_two_clusters_with_the_package(
    world: World, clone: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "two-clusters"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text(world.here(documented("yaml")))
    command = next(block for block in blocks(PAGE) if block.runner == "package").commands[0].split()
    assert command[-1] == "../multicluster-dapr/components"

    def run() -> Stack:
        stack = Stack(world.engine, folder)
        stack.run("stack", "init", "test")
        stack.run(*command[1:-1], str(clone / "components"))
        assert "multicluster-dapr" in yaml.safe_load((folder / "Pulumi.yaml").read_text())["packages"]
        stack.up()
        return stack

    check_joined(world, run, tmp_path)


BEFORE = """
import pulumi
import pulumi_kubernetes as kubernetes
from multicluster_dapr.joinable_cluster import JoinableCluster
from multicluster_dapr.mesh.crds import FOLDER, Crds, CrdsArgs, load_definitions

hub = kubernetes.Provider("hub", context="hub")
cluster = JoinableCluster(
    name="hub", key="a/b/c/hub", provider=hub, server="", gateway_host="192.0.2.10", gateway_port=30080
)
crds = Crds("hub-crds", CrdsArgs(cluster=cluster, definitions=load_definitions(FOLDER)), cluster.component())
policy = pulumi.ComponentResource(
    "multicluster-dapr:mesh:GlobalTrafficPolicy", "checkout", None,
    pulumi.ResourceOptions(provider=hub, depends_on=[crds]),
)
kubernetes.apiextensions.CustomResource(
    "checkout-object", api_version="flomesh.io/v1alpha1", kind="GlobalTrafficPolicy",
    metadata={"name": "checkout", "namespace": "shop", "annotations": {}}, spec={"lbType": "Locality"},
    opts=pulumi.ResourceOptions(parent=policy),
)
"""
AFTER = """
import pulumi
import pulumi_kubernetes as kubernetes
from multicluster_dapr import GlobalTrafficPolicy, Mesh

hub = kubernetes.Provider("hub", context="hub")
plane = {"name": "hub", "provider": hub, "gateway_host": "192.0.2.10", "gateway_port": 30080}
mesh = Mesh("mesh", {"image": "gateway:1", "control_plane": plane, "members": []})
in_hub = pulumi.ResourceOptions(provider=hub, depends_on=[mesh])
GlobalTrafficPolicy("checkout", {"service": "checkout", "namespace": "shop", "every_caller": False}, in_hub)
"""


def test_what_is_older_than_the_components_stays_as_it_is(world: World, wheel: Path, tmp_path: Path) -> None:
    stack = _python(world, wheel, tmp_path / "older", BEFORE)
    older = {one["urn"].rpartition("::")[2]: one.get("id") for one in stack.resources()}
    policies = f"{FLOMESH}/namespaces/shop/globaltrafficpolicies/checkout"
    uid = world.get("hub", policies)["metadata"]["uid"]
    stack.program(AFTER)
    assert {name: ops for name, ops in stack.changed().items() if name in older} == {}
    stack.up()
    now = {one["urn"].rpartition("::")[2]: one.get("id") for one in stack.resources()}
    assert {name: now.get(name) for name in older} == older
    assert world.get("hub", policies)["metadata"]["uid"] == uid
    stack.destroy()
    stack.run("stack", "rm", "--yes")
    world.gone()


def test_the_engine_finds_the_packages_schema_right(engine: Engine, clone: Path, tmp_path: Path) -> None:
    stack = Stack(engine, tmp_path)
    printed = stack.run("package", "get-schema", str(clone / "components")).output
    schema = printed[printed.index("{\n") :]
    (tmp_path / "schema.json").write_text(schema)
    stack.run("schema", "check", "schema.json")
    assert json.loads(schema)["language"]["go"]["generateExtraInputTypes"], "Go does not compile else"
    broken = schema.replace("#/types/multicluster-dapr:index:MeshPath", "#/types/nowhere")
    (tmp_path / "broken.json").write_text(broken)
    assert stack.run("schema", "check", "broken.json", check=False).status != 0
