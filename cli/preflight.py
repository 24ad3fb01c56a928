"""What is checked before anything is built: the settings, and that host ports and addresses are free."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Container, Iterable, Mapping
from pathlib import Path

from cli import docker_objects, settings
from cli.errors import UserError
from cli.paths import Paths
from stacks.config.checks.host import published_ports
from stacks.config.defaults import default_peers_port
from stacks.config.loading import parse_stack_file
from stacks.config.model import Settings
from stacks.config.problem import SettingsError

SETTLE_SECONDS = 30.0


def checked_settings(paths: Paths, environment: str) -> Settings:
    """The environment's settings. Raises UserError with every problem in its file."""
    source = settings.source_file(paths, environment)
    try:
        return parse_stack_file(settings.merged(paths, environment))
    except SettingsError as error:
        raise UserError(f"{source.name}: {error}", code=2) from error


def wanted_ports(chosen: Settings) -> dict[int, str]:
    """Host ports the environment will publish, each with the setting that names it."""
    ports: dict[int, str] = {}
    for index, cluster in enumerate(chosen.clusters):
        for key, port in published_ports(cluster).items():
            ports[port] = f"clusters[{index}].{key} ({cluster.name})"
    if chosen.redis.mode == "container":
        ports[chosen.redis.port] = "redis.port"
    return ports


def check_ports(chosen: Settings, env: Mapping[str, str], environment: str) -> None:
    """Refuse when something that is not ours listens on a port we will publish."""
    wanted = wanted_ports(chosen)
    deadline = time.monotonic() + SETTLE_SECONDS
    while taken := _foreign(wanted, chosen, env, environment):
        # A killed run's k3d may still be starting our nodes: the daemon listens before it says for whom.
        if time.monotonic() < deadline and any("docker-proxy" in _listener(port) for port in taken):
            time.sleep(1)
            continue
        lines = "\n".join(
            f"  - port {port}, wanted by {wanted[port]}{_listener(port)}" for port in sorted(taken)
        )
        raise UserError(
            f"host ports are already in use:\n{lines}\n"
            f"Free them, or choose others in Pulumi.{environment}.yaml."
        )


def check_network(chosen: Settings, env: Mapping[str, str], environment: str) -> None:
    """Refuse when another Docker network has addresses of the one we will make, or its name."""
    if not chosen.makes_network:
        return
    wanted = chosen.network
    for name, subnets in docker_objects.other_networks(env, environment).items():
        if name == wanted.name:
            raise UserError(
                f"network.name: Docker has a network {name!r} that is not this environment's.\n"
                f"Remove it (docker network rm {name}), or set another network.name in "
                f"Pulumi.{environment}.yaml."
            )
        for subnet in map(ipaddress.ip_network, subnets):
            if subnet.overlaps(ipaddress.ip_network(wanted.subnet)):
                raise UserError(
                    f"network.subnet: {wanted.subnet} overlaps with {subnet} of Docker's network {name!r}.\n"
                    f"Remove that (docker network rm {name}), or set another network.subnet, such as "
                    f"10.200.0.0/16, in Pulumi.{environment}.yaml."
                )


def holders(wanted: Iterable[int], ours: Container[int]) -> dict[int, str]:
    """Of these ports those that are taken and not `ours`, each with who listens, where that can be seen."""
    return {port: _listener(port).lstrip(": ") for port in wanted if port not in ours and not _free(port)}


def _foreign(wanted: Iterable[int], chosen: Settings, env: Mapping[str, str], environment: str) -> list[int]:
    busy = [port for port in wanted if not _free(port)]  # before asking the daemon: what starts now is ours
    ours = docker_objects.published_ports(env, environment)
    # A cluster that is there has the ports it was made with, and goes on without one that it may lack.
    unwanted = {
        cluster.peers_port
        for cluster in chosen.clusters
        if cluster.http_port in ours and cluster.peers_port == default_peers_port(cluster)
    }
    return [port for port in busy if port not in ours and port not in unwanted]


def _free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except PermissionError:
            return True  # a low port without root: the Docker daemon publishes it, not we
        except OSError:
            return False
    return True


def _listener(port: int) -> str:
    """Which process listens there, where /proc lets us see it."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:  # 0A is LISTEN
                inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(link.readlink()) in inodes for link in (process / "fd").iterdir()):
                return f": {(process / 'comm').read_text().strip()}, process {process.name}, listens there"
        except OSError:
            continue  # ended meanwhile, or not ours to look into
    return ""
