"""What is checked before anything is built: the settings, and that host ports and addresses are free."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Container, Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import NamedTuple

from cli import docker_objects, settings
from cli.errors import UserError
from cli.paths import Paths
from stacks.config.checks.host import published_ports
from stacks.config.defaults import default_peers_port
from stacks.config.loading import parse_stack_file
from stacks.config.model import Settings
from stacks.config.problem import SettingsError

SETTLE_SECONDS = 30.0

EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104  looked for, not listened on


def checked_settings(paths: Paths, environment: str) -> Settings:
    """The environment's settings. Raises UserError with every problem in its file."""
    source = settings.source_file(paths, environment)
    try:
        return parse_stack_file(settings.merged(paths, environment))
    except SettingsError as error:
        raise UserError(f"{source.name}: {error}", code=2) from error


class Wanted(NamedTuple):
    """Where a port is to be published, and by which setting."""

    setting: str
    addresses: frozenset[str]


def wanted_ports(chosen: Settings) -> dict[int, Wanted]:
    """Host ports the environment will publish."""
    ports: dict[int, Wanted] = {}
    network = frozenset({chosen.network.gateway})
    both = network | set(chosen.bind_addresses)
    for index, cluster in enumerate(chosen.clusters):
        for key, port in published_ports(cluster).items():
            at = network if key == "peersPort" else both
            ports[port] = Wanted(f"clusters[{index}].{key} ({cluster.name})", at)
    if chosen.redis.mode == "container":
        ports[chosen.redis.port] = Wanted("redis.port", both)
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
            f"  - port {port}, wanted by {wanted[port].setting}{_listener(port)}" for port in sorted(taken)
        )
        raise UserError(
            f"host ports are already in use:\n{lines}\n"
            f"Free them, or choose others in Pulumi.{environment}.yaml."
        )


def check_clusters(chosen: Settings, env: Mapping[str, str], environment: str) -> None:
    """Refuse when a k3d cluster of one of our names is there and is not this environment's."""
    others = docker_objects.other_clusters(env, environment)
    for index, cluster in enumerate(chosen.clusters):
        of = others.get(cluster.name)
        if cluster.source != "k3d" or of is None:
            continue
        whose = f"environment {of!r}" if of else "no environment"
        remove = f"./stack destroy {of}" if of else f"k3d cluster delete {cluster.name}"
        raise UserError(
            f"clusters[{index}].name: there is a k3d cluster {cluster.name!r}, of {whose}.\n"
            f"Choose another name in Pulumi.{environment}.yaml, or remove that one: {remove}."
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


def holders(wanted: Mapping[int, Wanted], ours: Container[int]) -> dict[int, str]:
    """Of these ports those that are taken and not `ours`, each with who listens, where that can be seen."""
    return {port: _listener(port).lstrip(": ") for port in _busy(wanted) if port not in ours}


def _foreign(
    wanted: Mapping[int, Wanted], chosen: Settings, env: Mapping[str, str], environment: str
) -> list[int]:
    busy = _busy(wanted)  # before asking the daemon: what starts now is ours
    ours = docker_objects.published_ports(env, environment)
    # A cluster that is there has the ports it was made with, and goes on without one that it may lack.
    unwanted = {
        cluster.peers_port
        for cluster in chosen.clusters
        if cluster.http_port in ours and cluster.peers_port == default_peers_port(cluster)
    }
    return [port for port in busy if port not in ours and port not in unwanted]


def _busy(wanted: Mapping[int, Wanted]) -> list[int]:
    """The ports at which somebody listens already, at an address where they are to be published."""
    taken: dict[int, set[str]] = {}
    for listening in _listening():
        taken.setdefault(listening.port, set()).add(listening.address)
    return [port for port, one in wanted.items() if _clash(one.addresses, taken.get(port, set()))]


def _clash(wanted: AbstractSet[str], taken: AbstractSet[str]) -> bool:
    return (
        bool(taken & wanted)
        or bool(wanted and taken & EVERY_ADDRESS)
        or bool(taken and wanted & EVERY_ADDRESS)
    )


class Listening(NamedTuple):
    """A socket that listens."""

    address: str
    port: int
    inode: str


def _listening() -> Iterator[Listening]:
    """All of this machine's. An IPv4 address that an IPv6 socket serves is told as itself."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] != "0A":  # LISTEN
                continue
            address, port = fields[1].rsplit(":", 1)
            yield Listening(_address(address), int(port, 16), fields[9])


def _address(text: str) -> str:
    """As /proc has it: words of four bytes, each the wrong way round."""
    words = bytes.fromhex(text)
    right = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
    found = ipaddress.ip_address(right)
    return str(getattr(found, "ipv4_mapped", None) or found)


def _listener(port: int) -> str:
    """Which process listens there, where /proc lets us see it."""
    inodes = {f"socket:[{one.inode}]" for one in _listening() if one.port == port}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(link.readlink()) in inodes for link in (process / "fd").iterdir()):
                return f": {(process / 'comm').read_text().strip()}, process {process.name}, listens there"
        except OSError:
            continue  # ended meanwhile, or not ours to look into
    return ""
