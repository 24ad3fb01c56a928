"""k3d's own configuration file and the commands around it, as pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from components.cluster import LABEL

# Where k3s, and our node image, pick up image archives at start.
IMAGES_FOLDER = "/var/lib/rancher/k3s/agent/images"
# The gateway's NodePort; a NodePort and not a hostPort, so that a rolling restart drops nothing.
GATEWAY_NODE_PORT = 30080
# What k3s's own load balancer binds on the node for FSM's ingress.
INGRESS_PORT = 80
# Longer than a slow laptop needs, shorter than a person waits.
TIMEOUT = "300s"
SERVER = "server:0"


def render(
    *,
    name: str,
    environment: str,
    image: str,
    network: str,
    gateway: str,
    bind_addresses: Sequence[str],
    api_port: int,
    http_port: int,
    archives: Mapping[str, str],
    node_http_port: int = GATEWAY_NODE_PORT,
    memory: str = "",
) -> str:
    """The `k3d.io/v1alpha5` Simple file of one cluster with one server.

    `gateway` is the network's first address: every container reaches every published port there.
    `archives` maps a name to a docker-archive file on the host, which the node imports at start.
    `http_port` leads to `node_http_port` of the node; `memory` limits the node, such as 4g.
    """
    config: dict[str, Any] = {
        "apiVersion": "k3d.io/v1alpha5",
        "kind": "Simple",
        "metadata": {"name": name},
        "servers": 1,
        "image": image,
        "network": network,
        # Host and address differ in meaning: the first is the certificate's name, the second the binding.
        "kubeAPI": {"host": gateway, "hostIP": gateway, "hostPort": str(api_port)},
        "ports": [
            *(_port(address, api_port, 6443) for address in bind_addresses if address != gateway),
            *(
                _port(address, http_port, node_http_port)
                for address in dict.fromkeys([gateway, *bind_addresses])
            ),
        ],
        "options": {
            "k3d": {"wait": True, "timeout": TIMEOUT, "disableLoadbalancer": True},
            "k3s": {"extraArgs": [{"arg": "--disable=traefik", "nodeFilters": [SERVER]}]},
            "kubeconfig": {"updateDefaultKubeconfig": False, "switchCurrentContext": False},
            "runtime": {"labels": [{"label": f"{LABEL}={environment}", "nodeFilters": [SERVER]}]},
        },
    }
    if memory:
        config["options"]["runtime"]["serversMemory"] = memory
    if archives:
        config["volumes"] = [
            {"volume": f"{path}:{IMAGES_FOLDER}/{archive}.tar:ro", "nodeFilters": [SERVER]}
            for archive, path in sorted(archives.items())
        ]
    return yaml.safe_dump(config, sort_keys=False)


def _workspace(name: str) -> str:
    """First lines of every script: a folder of its own for what k3d writes.

    k3d copies its configuration to a temporary file and never removes it, and would write to
    ~/.kube/config: both go into the folder, which goes away with the command. A command that was killed
    leaves its folder to the next one for the same cluster.
    """
    return f"""\
set -eu
rm -rf "${{TMPDIR:-/tmp}}"/multicluster-dapr-{name}.*
workspace=$(mktemp -d "${{TMPDIR:-/tmp}}/multicluster-dapr-{name}.XXXXXX")
trap 'rm -rf "$workspace"' EXIT
export TMPDIR="$workspace" KUBECONFIG="$workspace/kubeconfig"
"""


def create_script(*, name: str, environment: str) -> str:
    """Make the cluster from the file on stdin and print its kubeconfig.

    A cluster of that name with our label was left by an interrupted run and is made anew, and so is one
    without a server, which nobody can use; any other is someone else's and is refused.
    """
    return f"""{_workspace(name)}\
if k3d cluster list {name} >/dev/null 2>&1; then
  # k3d's own listing leaves foreign labels out; the daemon's does not.
  servers=$(docker ps --all --quiet --filter label=k3d.cluster={name} --filter label=k3d.role=server)
  ours=$(docker ps --all --quiet --filter label=k3d.cluster={name} --filter label={LABEL}={environment})
  if [ -n "$servers" ] && [ -z "$ours" ]; then
    echo "A k3d cluster named {name} exists and is not part of environment {environment}." \\
      "Rename it in Pulumi.{environment}.yaml, or remove the other: k3d cluster delete {name}" >&2
    exit 1
  fi
  echo "Cluster {name} was left by an interrupted run: making it anew." >&2
  k3d cluster delete {name} >&2
fi
k3d cluster create --config - >&2
k3d kubeconfig get {name}
"""


def update_script(*, name: str) -> str:
    """Read the kubeconfig again; the cluster itself is left alone."""
    return f"{_workspace(name)}k3d kubeconfig get {name}\n"


def delete_script(*, name: str) -> str:
    """Remove the cluster; not an error when it is gone already."""
    return f"{_workspace(name)}k3d cluster delete {name} >&2\n"


def import_script(*, name: str, images: Sequence[str]) -> str:
    """Copy images from the Docker daemon into the cluster's node."""
    return f"{_workspace(name)}k3d image import --mode direct --cluster {name} {' '.join(images)} >&2\n"


def _port(address: str, host_port: int, node_port: int) -> dict[str, Any]:
    # "direct": the port belongs to the node itself, as there is no load balancer container in front.
    return {"port": f"{address}:{host_port}:{node_port}", "nodeFilters": [f"{SERVER}:direct"]}
