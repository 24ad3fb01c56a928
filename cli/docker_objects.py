"""Docker objects of an environment, found by the label the program puts on each of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from airgap.report import Report
from cli import process
from cli.errors import UserError

LABEL = "multicluster-dapr.environment"
# In the URN of the command that makes a cluster.
CLUSTER_TYPE = "multicluster-dapr:cluster:K3dCluster$command:local:Command"
KINDS = ("container", "network", "volume")
SERVERS = ("docker", "ps", "--all", "--filter", "label=app=k3d", "--filter", "label=k3d.role=server")
"""Lists the k3d clusters of this machine, of whomever they are, by their servers."""


def labelled(env: Mapping[str, str], environment: str, kind: str) -> dict[str, str]:
    """Name by id of every container, network or volume of this environment."""
    argv = ["docker", kind, "ls", "--filter", f"label={LABEL}={environment}", "--format", "{{json .}}"]
    if kind == "container":
        argv.append("--all")
    if kind != "volume":
        argv.append("--no-trunc")
    rows = [json.loads(line) for line in process.output(argv, env=env).splitlines()]
    return {row.get("ID") or row["Name"]: row.get("Names") or row["Name"] for row in rows}


def remove_unknown(
    env: Mapping[str, str], environment: str, resources: Iterable[Mapping[str, Any]], progress: Report
) -> None:
    """Remove containers, networks and volumes that carry our label but are not in the state.

    A run killed between the daemon's answer and the state's write leaves them, and their names would
    block the next run. Cluster nodes are left to the cluster component, which knows its own leftovers.
    """
    known = {str(resource.get("id")) for resource in resources}
    for kind in KINDS:
        for identity, name in labelled(env, environment, kind).items():
            if identity in known or name.startswith("k3d-"):
                continue
            progress.note(f"Repairing: removing {kind} {name}, left by a run that was killed.")
            force = [] if kind == "network" else ["--force"]
            process.output(["docker", kind, "rm", *force, identity], env=env)


def remove_orphan_clusters(
    env: Mapping[str, str], environment: str, resources: Iterable[Mapping[str, Any]], progress: Report
) -> None:
    """Delete k3d clusters on the environment's network that the state does not know.

    A destroy after a killed `up` would else fail at the network, which their nodes still use. They are
    found by the network and not by our label alone: k3d's helper container does not carry it.
    """
    known = {str(resource["urn"]).rsplit("::", 1)[1] for resource in resources if "urn" in resource}
    for network in labelled(env, environment, "network").values():
        argv = ["docker", "ps", "--all", "--filter", f"network={network}", "--filter", "label=app=k3d"]
        names = process.output([*argv, "--format", '{{.Label "k3d.cluster"}}'], env=env).split()
        for name in sorted(set(names)):
            if f"{name}-k3d" not in known:
                progress.note(f"Repairing: deleting cluster {name}, left by a run that was killed.")
                process.output(["k3d", "cluster", "delete", name], env=env)


def vanished_clusters(env: Mapping[str, str], resources: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Name by URN of every cluster that the state has and the daemon has not, not even stopped.

    One that a replacement has deleted already is left out: the engine is about to make it.
    """
    there = set(process.output([*SERVERS, "--format", '{{.Label "k3d.cluster"}}'], env=env).split())
    made = {
        str(resource["urn"]): str(resource["urn"]).rsplit("::", 1)[1].removesuffix("-k3d")
        for resource in resources
        if CLUSTER_TYPE in str(resource.get("urn")) and not resource.get("pendingReplacement")
    }
    return {urn: name for urn, name in made.items() if name not in there}


def other_clusters(env: Mapping[str, str], environment: str) -> dict[str, str]:
    """k3d clusters that are not this environment's, each with the environment it is of; empty for none."""
    rows = process.output(
        [*SERVERS, "--format", f'{{{{.Label "k3d.cluster"}}}} {{{{.Label "{LABEL}"}}}}'], env=env
    )
    found = {name: of for name, _, of in (row.partition(" ") for row in rows.splitlines())}
    return {name: of for name, of in found.items() if of != environment}


def published_ports(env: Mapping[str, str], environment: str) -> set[int]:
    """Host ports that containers of this environment hold already."""
    argv = ["docker", "ps", "--filter", f"label={LABEL}={environment}", "--format", "{{.Ports}}"]
    return {int(port) for port in re.findall(r":(\d+)->", process.output(argv, env=env))}


def other_networks(env: Mapping[str, str], environment: str) -> dict[str, list[str]]:
    """Address ranges of the networks that are not this environment's, by name."""
    others = _unlabelled(env, environment)
    try:
        found = process.output(["docker", "network", "inspect", *others], env=env) if others else "[]"
    except UserError:
        if _unlabelled(env, environment) == others:
            raise
        return other_networks(env, environment)  # one of them went meanwhile
    return {
        network["Name"]: [pool["Subnet"] for pool in (network.get("IPAM") or {}).get("Config") or []]
        for network in json.loads(found)
    }


def _unlabelled(env: Mapping[str, str], environment: str) -> list[str]:
    argv = ["docker", "network", "ls", "--no-trunc", "--format", "{{.ID}}"]
    ours = labelled(env, environment, "network")
    return [one for one in process.output(argv, env=env).split() if one not in ours]


def states(env: Mapping[str, str], environment: str) -> dict[str, str]:
    """State of every container of this environment by name: running, paused, exited and so on."""
    argv = ["docker", "ps", "--all", "--filter", f"label={LABEL}={environment}"]
    lines = process.output([*argv, "--format", "{{.Names}} {{.State}}"], env=env, timeout=10).splitlines()
    return dict(line.split(" ", 1) for line in lines)


def leftovers(env: Mapping[str, str], environment: str) -> list[str]:
    """What is still there, as `kind name`; empty after a complete destroy."""
    return [f"{kind} {name}" for kind in KINDS for name in labelled(env, environment, kind).values()]
