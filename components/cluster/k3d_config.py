"""k3d's own configuration file and the commands around it, as pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from components.cluster.cluster import LABEL

# Where k3s, and our node image, pick up image archives at start.
IMAGES_FOLDER = "/var/lib/rancher/k3s/agent/images"
# The gateway's NodePort; a NodePort and not a hostPort, so that a rolling restart drops nothing.
GATEWAY_NODE_PORT = 30080
PEERS_NODE_PORT = 30443
# What k3s's own load balancer binds on the node for FSM's ingress.
INGRESS_PORT = 80
# Longer than a slow laptop needs, shorter than a person waits.
TIMEOUT = "300s"
SERVER = "server:0"
# Commands run in the project's folder. A script, because a command that fails is shown whole.
SCRIPT = "components/k3d.sh"


@dataclass(frozen=True, kw_only=True)
class K3dConfig:
    """One cluster with one server.

    `gateway` is the network's first address: every container reaches every published port there.
    `archives` maps a name to a docker-archive file on the host, which the node imports at start.
    `http_port` leads to `node_http_port` of the node, `peers_port` to its port for other clusters' gateways;
    with `may_lack_peers_port` a cluster that was made without that one is left as it is.
    `memory` limits the node, such as 4g. `pod_cidr` and `service_cidr` are None for those that k3s takes.
    """

    name: str
    environment: str
    image: str
    gateway: str
    bind_addresses: Sequence[str]
    api_port: int
    http_port: int
    archives: Mapping[str, str]
    node_http_port: int = GATEWAY_NODE_PORT
    peers_port: int | None = None
    may_lack_peers_port: bool = False
    memory: str = ""
    pod_cidr: str | None = None
    service_cidr: str | None = None


def render(cluster: K3dConfig, network: str) -> str:
    """The `k3d.io/v1alpha5` Simple file of a cluster in a Docker network."""
    arguments = [
        "--disable=traefik",
        *([f"--cluster-cidr={cluster.pod_cidr}"] if cluster.pod_cidr else []),
        *([f"--service-cidr={cluster.service_cidr}"] if cluster.service_cidr else []),
    ]
    config: dict[str, Any] = {
        "apiVersion": "k3d.io/v1alpha5",
        "kind": "Simple",
        "metadata": {"name": cluster.name},
        "servers": 1,
        "image": cluster.image,
        "network": network,
        # Host and address differ in meaning: the first is the certificate's name, the second the binding.
        "kubeAPI": {"host": cluster.gateway, "hostIP": cluster.gateway, "hostPort": str(cluster.api_port)},
        "ports": [
            *(
                _port(address, cluster.api_port, 6443)
                for address in cluster.bind_addresses
                if address != cluster.gateway
            ),
            *(
                _port(address, cluster.http_port, cluster.node_http_port)
                for address in dict.fromkeys([cluster.gateway, *cluster.bind_addresses])
            ),
            # Nobody but the other clusters comes here.
            *([_port(cluster.gateway, cluster.peers_port, PEERS_NODE_PORT)] if cluster.peers_port else []),
        ],
        "options": {
            "k3d": {"wait": True, "timeout": TIMEOUT, "disableLoadbalancer": True},
            "k3s": {"extraArgs": [{"arg": argument, "nodeFilters": [SERVER]} for argument in arguments]},
            "kubeconfig": {"updateDefaultKubeconfig": False, "switchCurrentContext": False},
            "runtime": {"labels": [{"label": f"{LABEL}={cluster.environment}", "nodeFilters": [SERVER]}]},
        },
    }
    if cluster.memory:
        config["options"]["runtime"]["serversMemory"] = cluster.memory
    if cluster.archives:
        config["volumes"] = [
            {"volume": f"{path}:{IMAGES_FOLDER}/{archive}.tar:ro", "nodeFilters": [SERVER]}
            for archive, path in sorted(cluster.archives.items())
        ]
    return yaml.safe_dump(config, sort_keys=False)


def identity(cluster: K3dConfig, network: str) -> str:
    """What a cluster is made again for when it changes: its file, without what it may lack."""
    return render(replace(cluster, peers_port=None) if cluster.may_lack_peers_port else cluster, network)


def create_command(*, name: str, environment: str) -> str:
    """Make the cluster from the file on stdin and print its kubeconfig."""
    return f"{SCRIPT} create {name} {LABEL}={environment}"


def update_command(*, name: str) -> str:
    """Read the kubeconfig again; the cluster itself is left alone."""
    return f"{SCRIPT} kubeconfig {name}"


def delete_command(*, name: str) -> str:
    """Remove the cluster; not an error when it is gone already."""
    return f"{SCRIPT} delete {name}"


def import_command(*, name: str, images: Sequence[str]) -> str:
    """Copy images from the Docker daemon into the cluster's node."""
    return f"{SCRIPT} import {name} {' '.join(images)}"


def _port(address: str, host_port: int, node_port: int) -> dict[str, Any]:
    # "direct": the port belongs to the node itself, as there is no load balancer container in front.
    return {"port": f"{address}:{host_port}:{node_port}", "nodeFilters": [f"{SERVER}:direct"]}
