"""Takes away, and puts back. Putting back may be done twice, by another process, and where less is left."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from cli.drill.journal import Journal
from cli.drill.losses import Client, Denied, Filtered, Loss, Scaled, Stopped, policy_name
from cli.drill.tools import Tools
from cli.errors import UserError
from cli.observe.view import GATEWAY, SYSTEM

CLIENT = "drill-client"
"""Name of the pod that calls, in each cluster."""
UP_SECONDS = 180.0
"""Patience for the API server of a cluster that is started again."""
RESTART_SECONDS = 180.0
LAST_PORT = 65535
CONNECT_SECONDS = 3
# Runs in the gateway's image, which has Python: prints the addresses of a host.
RESOLVE = """
import socket, sys
print(*sorted({entry[4][0] for entry in socket.getaddrinfo(sys.argv[1], 80, type=socket.SOCK_STREAM)}))
"""
# Prints the ports that still take a connection.
CONNECT = """
import socket, sys
for port in sys.argv[3:]:
    try:
        socket.create_connection((sys.argv[1], int(port)), float(sys.argv[2])).close()
        print(port)
    except OSError:
        pass
"""


def take(tools: Tools, loss: Loss) -> None:
    """Take one thing away. Raises UserError."""
    match loss:
        case Stopped():
            tools.docker("kill", *loss.containers)
        case Scaled():
            tools.kubectl(loss.cluster, "-n", loss.namespace, "scale", loss.workload, "--replicas=0")
            if loss.pods:  # at once, as what dies does; without this they would end in order
                tools.kubectl(
                    loss.cluster, "-n", loss.namespace, "delete", "pod", "-l", loss.pods,
                    "--grace-period=1", "--wait=false", "--ignore-not-found",
                )  # fmt: skip
        case Filtered():
            for port in loss.ports:
                _iptables(tools, loss, "-I", "PREROUTING", *_rule(loss, port))
        case Denied():
            _deny(tools, loss)
        case Client():
            raise TypeError("client pods are made by the traffic")


def put_back(tools: Tools, loss: Loss, *, wait: bool) -> None:
    """Put one thing back, if it is not there again. `wait` for its API server to answer. Raises UserError."""
    if isinstance(loss, Stopped):
        _start(tools, loss)
    if wait and not isinstance(loss, Filtered):
        _await_api(tools, loss.cluster)
    match loss:
        case Scaled():
            where = ("-n", loss.namespace)
            found = tools.kubectl(
                loss.cluster, *where, "get", loss.workload, "--ignore-not-found", "-o", "json"
            )
            if found and not json.loads(found)["spec"].get("replicas"):
                tools.kubectl(loss.cluster, *where, "scale", loss.workload, f"--replicas={loss.replicas}")
        case Filtered():
            _open(tools, loss)
        case Denied():
            tools.kubectl(
                loss.cluster, "-n", SYSTEM, "delete", "networkpolicy", policy_name(loss.peer),
                "--ignore-not-found",
            )  # fmt: skip
        case Client():
            tools.kubectl(
                loss.cluster, "-n", SYSTEM, "delete", "pod", CLIENT, "--ignore-not-found", "--now",
                "--wait=false",
            )  # fmt: skip


def put_all_back(tools: Tools, journal: Journal, *, clients: bool = True, wait: bool = False) -> None:
    """Put back what the journal has, the last change first. Raises UserError with what could not be.

    `clients`: their pods as well. What fails does not keep the rest away, and stays in the journal.
    """
    errors = []
    for loss in reversed(journal.losses()):
        if isinstance(loss, Client) and not clients:
            continue
        try:
            put_back(tools, loss, wait=wait)
        except UserError as error:
            errors.append(f"{loss.words}: {error}")
        else:
            journal.remove(loss)
    if errors:
        raise UserError(
            "not all that a drill has taken away could be put back:\n"
            + "\n".join(f"  - {line}" for line in errors)
            + f"\nRun the same command again, or put it back by hand and delete {journal.file}."
        )


def still_open(tools: Tools, loss: Filtered | Denied) -> list[int]:
    """Ports of the other gateway that a pod of the cluster still reaches."""
    ports = map(str, loss.ports)
    said = _in_gateway(tools, loss.cluster, CONNECT, loss.host, str(CONNECT_SECONDS), *ports)
    return [int(port) for port in said.split()]


def network_policy(loss: Denied, addresses: Sequence[str]) -> dict[str, Any]:
    """A NetworkPolicy that lets the gateways reach everything but these addresses at the loss's ports.

    It can only list what is allowed: all other addresses, and there all other ports.
    """
    blocks = {"0.0.0.0/0": [f"{one}/32" for one in addresses if ":" not in one],
              "::/0": [f"{one}/128" for one in addresses if ":" in one]}  # fmt: skip
    others = [
        {"ipBlock": {"cidr": all_of, **({"except": without} if without else {})}}
        for all_of, without in blocks.items()
    ]
    peers = [{"ipBlock": {"cidr": one}} for without in blocks.values() for one in without]
    ranges, first = [], 1
    for port in sorted(loss.ports):
        if port > first:
            ranges.append({"protocol": "TCP", "port": first, "endPort": port - 1})
        first = port + 1
    if first <= LAST_PORT:
        ranges.append({"protocol": "TCP", "port": first, "endPort": LAST_PORT})
    ranges.append({"protocol": "UDP", "port": 1, "endPort": LAST_PORT})
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": policy_name(loss.peer), "namespace": SYSTEM},
        "spec": {
            "podSelector": {"matchLabels": {"app": GATEWAY}}, "policyTypes": ["Egress"],
            # Pods of the cluster, among them its DNS, by selector: some networks take no block for those.
            "egress": [{"to": [{"namespaceSelector": {}}, *others]}, {"to": peers, "ports": ranges}],
        },
    }  # fmt: skip


def _deny(tools: Tools, loss: Denied) -> None:
    addresses = _in_gateway(tools, loss.cluster, RESOLVE, loss.host).split()
    tools.kubectl(loss.cluster, "apply", "-f", "-", stdin=json.dumps(network_policy(loss, addresses)))
    # Whether a policy ends open connections is the network's business: other pods have none.
    where = ("-n", SYSTEM, "rollout")
    tools.kubectl(loss.cluster, *where, "restart", f"deployment/{GATEWAY}")
    tools.kubectl(
        loss.cluster, *where, "status", f"deployment/{GATEWAY}", f"--timeout={RESTART_SECONDS:.0f}s",
        seconds=RESTART_SECONDS + 10,
    )  # fmt: skip


def _in_gateway(tools: Tools, cluster: str, script: str, *arguments: str) -> str:
    where = ("-n", SYSTEM, f"deployment/{GATEWAY}", "-c", GATEWAY)
    return tools.kubectl(cluster, "exec", *where, "--", "python3", "-c", script, *arguments)


def _iptables(tools: Tools, loss: Filtered, *arguments: str) -> str:
    # mangle, before the tables of kube-proxy and of network policies: open connections are cut as well.
    return tools.docker("exec", loss.container, "iptables", "-w", "-t", "mangle", *arguments)


def _rule(loss: Filtered, port: int) -> list[str]:
    """In iptables' own order, as it lists rules."""
    return ["-d", f"{loss.host}/32", "-p", "tcp", "-m", "tcp", "--dport", str(port), "-j", "DROP"]


def _open(tools: Tools, loss: Filtered) -> None:
    """Remove the rules, all that there are. They go with the container when it stops."""
    if loss.container not in containers(tools, "--filter", "status=running"):
        return
    listed = _iptables(tools, loss, "-S", "PREROUTING").splitlines()
    for port in loss.ports:
        rule = _rule(loss, port)
        for _ in range(listed.count(f"-A PREROUTING {' '.join(rule)}")):
            _iptables(tools, loss, "-D", "PREROUTING", *rule)


def _start(tools: Tools, loss: Stopped) -> None:
    there = containers(tools, "--all")
    if wanted := [name for name in loss.containers if name in there]:
        tools.docker("start", *wanted)


def containers(tools: Tools, *which: str) -> list[str]:
    """Names of Docker containers: those that run, or those that `docker ps` is asked for."""
    return tools.docker("ps", *which, "--format", "{{.Names}}").split()


def _await_api(tools: Tools, cluster: str) -> None:
    deadline = time.monotonic() + UP_SECONDS
    while True:
        try:
            tools.kubectl(cluster, "get", "--raw", "/readyz", seconds=10)
        except UserError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
        else:
            return
