"""Two clusters, a registry and a network that a test makes by itself, as a user's own would be."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from docs.documents import ROOT, blocks

from components.cluster import k3d_config

NAMES = ("theirs-hub", "theirs-east")
NETWORK, SUBNET, GATEWAY = "theirs", "172.25.0.0/16", "172.25.0.1"
REDIS_NODE_PORT = 30379
REGISTRY_PORT = 5010
REGISTRY = "theirs-registry"
REGISTRY_CONFIG = {
    "version": "0.1",
    "storage": {"filesystem": {"rootdirectory": "/var/lib/registry"}},
    "http": {"addr": f"0.0.0.0:{REGISTRY_PORT}"},
}
DEBIANS_REGISTRY = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
RUN apt-get update -q && apt-get install -q -y --no-install-recommends docker-registry
COPY config.yml /etc/docker/registry/config.yml
ENTRYPOINT ["docker-registry", "serve", "/etc/docker/registry/config.yml"]
"""
UPSTREAM_REGISTRY = "FROM docker.io/library/registry:2\nCOPY config.yml /etc/docker/registry/config.yml\n"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The tools of a prepared machine, and a folder to write in."""

    env: Mapping[str, str]
    folder: Path

    @property
    def supply(self) -> dict[str, Any] | None:
        """The supply map, or None on a machine that pulls from public registries."""
        path = self.env.get("MULTICLUSTER_DAPR_SUPPLY")
        return json.loads(Path(path).read_text()) if path else None

    def run(self, *argv: str) -> str:
        done = subprocess.run(
            argv, env=dict(self.env), capture_output=True, text=True, check=False, timeout=600
        )
        assert done.returncode == 0, f"{' '.join(argv)} failed:\n{done.stdout}{done.stderr}"
        return done.stdout


@contextmanager
def made(machine: Machine, node_image: str) -> Iterator[Path]:
    """The clusters, up, each with a registry on its own loopback; the path of their kubeconfig."""
    _remove(machine)
    try:
        machine.run("docker", "network", "create", f"--subnet={SUBNET}", f"--gateway={GATEWAY}", NETWORK)
        image = _registry_image(machine)
        _registry(machine, image, REGISTRY, f"--publish=127.0.0.1:{REGISTRY_PORT}:{REGISTRY_PORT}")
        for number, name in enumerate(NAMES):
            config = yaml.safe_load(
                k3d_config.render(
                    k3d_config.K3dConfig(
                        name=name, environment="theirs", image=node_image, gateway=GATEWAY,
                        bind_addresses=(), api_port=api_port(number), archives={},
                        http_port=http_port(number), node_http_port=http_port(number),
                    ),
                    NETWORK,
                )
            )  # fmt: skip
            for outside, inside in (
                (REDIS_NODE_PORT + number, REDIS_NODE_PORT),
                (peers_port(number), peers_port(number)),
            ):
                port = {"port": f"{GATEWAY}:{outside}:{inside}", "nodeFilters": ["server:0:direct"]}
                config["ports"].append(port)
            path = machine.folder / f"{name}.yaml"
            path.write_text(yaml.safe_dump(config))
            machine.run("k3d", "cluster", "create", "--config", str(path))
            # Containerd speaks plain HTTP to its own loopback and nowhere else, without being told.
            _registry(machine, image, f"{REGISTRY}-{name}", f"--network=container:k3d-{name}-server-0")
        kubeconfig = machine.folder / "kubeconfig"
        machine.run("k3d", "kubeconfig", "merge", *NAMES, "--output", str(kubeconfig))
        yield kubeconfig
    finally:
        _remove(machine)


def settings(kubeconfig: Path) -> dict[str, Any]:
    """The file of docs/existing-clusters.md for the mesh alone, of which nothing but addresses is changed."""
    (file,) = (
        yaml.safe_load(block.text)["config"]
        for block in blocks(ROOT / "docs" / "existing-clusters.md")
        if block.language == "yaml" and "context: hub" in block.text and "redis" not in block.text
    )
    for number, cluster in enumerate(file["multicluster-dapr:clusters"]):
        cluster["kubeconfig"] = str(kubeconfig)
        cluster["context"] = f"k3d-theirs-{cluster['context']}"
        cluster["gatewayHost"], cluster["gatewayPort"] = GATEWAY, http_port(number)
        if "peersPort" in cluster:
            cluster["peersPort"] = peers_port(number)
    file["multicluster-dapr:images"]["registry"] = f"127.0.0.1:{REGISTRY_PORT}/multicluster"
    return {key.removeprefix("multicluster-dapr:"): value for key, value in file.items()}


def api_port(number: int) -> int:
    """Host port of a cluster's API, clear of every environment here."""
    return 6644 + number


def http_port(number: int) -> int:
    """Port of a cluster's gateway: a node port, published on the host under the same number."""
    return 30180 + number


def peers_port(number: int) -> int:
    """Port of a cluster's gateway for those of others, in the same way."""
    return 30480 + number


def _registry_image(machine: Machine) -> str:
    folder = machine.folder / "registry"
    folder.mkdir()
    supply = machine.supply
    base = ["--build-arg", f"BASE_IMAGE={supply['images']['python']['ref']}"] if supply else []
    (folder / "Dockerfile").write_text(DEBIANS_REGISTRY if supply else UPSTREAM_REGISTRY)
    (folder / "config.yml").write_text(yaml.safe_dump(REGISTRY_CONFIG))
    machine.run("docker", "build", "--network=host", f"--tag={REGISTRY}", *base, str(folder))
    return REGISTRY


def _registry(machine: Machine, image: str, name: str, *flags: str) -> None:
    """One of several registries over the same volume: what is pushed to one is pulled from the others."""
    volume = f"--volume={REGISTRY}:/var/lib/registry"
    machine.run("docker", "run", "--detach", f"--name={name}", volume, *flags, image)


def _remove(machine: Machine) -> None:
    for name in NAMES:
        machine.run("k3d", "cluster", "delete", name)
    listed = machine.run("docker", "ps", "--all", "--quiet", f"--filter=name=^{REGISTRY}").split()
    if listed:
        machine.run("docker", "rm", "--force", *listed)
    for kind in ("volume", "network"):
        name = REGISTRY if kind == "volume" else NETWORK
        if name in machine.run("docker", kind, "ls", "--format", "{{.Name}}").split():
            machine.run("docker", kind, "rm", name)
