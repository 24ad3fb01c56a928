"""Rules about what shares this machine: ports, address ranges, Redis."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from stacks.config.defaults import default_peers_port
from stacks.config.model import ClusterSettings, Settings
from stacks.config.problem import Problem


def published_ports(cluster: ClusterSettings) -> dict[str, int]:
    """Host ports of a cluster that is made here, by their keys."""
    if cluster.source != "k3d":
        return {}
    ports = {"apiPort": cluster.api_port, "httpPort": cluster.http_port, "peersPort": cluster.peers_port}
    return {key: port for key, port in ports.items() if port is not None}


def unique_ports(settings: Settings) -> Iterator[Problem]:
    """Everything published shares the same host addresses."""
    owners: dict[int, tuple[str, bool]] = {}
    uses = [
        (f"clusters[{index}].{key}", port, key == "peersPort" and port == default_peers_port(cluster))
        for index, cluster in enumerate(settings.clusters)
        for key, port in published_ports(cluster).items()
    ]
    if settings.redis.mode == "container":
        uses.append(("redis.port", settings.redis.port, False))
    for path, port, follows in uses:
        owner, also_follows = owners.setdefault(port, (path, follows))
        if owner != path and not (follows and also_follows):  # else it is said of the ports they follow from
            yield Problem(path, port, f"{owner} has the same port", "Give each its own host port.")


def subnet_is_free(settings: Settings) -> Iterator[Problem]:
    """The Docker network stays clear of the ranges inside the clusters, or nodes reach neither."""
    subnet, seen = ipaddress.IPv4Network(settings.network.subnet), set()
    for cluster in settings.clusters:
        for text in (cluster.pod_range, cluster.service_range) if cluster.source == "k3d" else ():
            if text not in seen and subnet.overlaps(ipaddress.IPv4Network(text)):
                yield Problem(
                    "network.subnet",
                    settings.network.subnet,
                    f"overlaps {text}, which {cluster.name} uses inside",
                    "Choose another private range, such as 172.28.0.0/16.",
                )
            seen.add(text)


def ranges_are_apart(settings: Settings) -> Iterator[Problem]:
    """A node tells pods from services by address.

    Clusters may use the same ranges: no packet goes from a pod to a pod of another cluster.
    """
    for index, cluster in enumerate(settings.clusters):
        services, pods = (
            ipaddress.IPv4Network(cluster.service_range),
            ipaddress.IPv4Network(cluster.pod_range),
        )
        if services.overlaps(pods):
            yield Problem(
                f"clusters[{index}].serviceCidr",
                cluster.service_range,
                f"overlaps the pods' range {cluster.pod_range} of {cluster.name}",
                "Choose another private range for one of them.",
            )


def redis_fits_its_mode(settings: Settings) -> Iterator[Problem]:
    """An external Redis has an address and a password, one in a cluster an address, a container neither."""
    redis = settings.redis
    if redis.mode in ("statefulset", "external") and not redis.host:
        yield Problem("redis.host", None, f"missing for mode {redis.mode}", "Set its host name or address.")
    if redis.mode == "external" and settings.redis_password is None:
        hint = (
            'In a shell of the environment (`./stack init ENV`, then `eval "$(./stack env ENV)"`) run '
            "`pulumi config set --secret redisPassword`."
        )
        yield Problem("redisPassword", None, "missing for redis.mode external", hint)
    if redis.mode in ("container", "none") and redis.host:
        hint = "Remove it, or choose another mode."
        yield Problem("redis.host", redis.host, f"has no meaning for mode {redis.mode}", hint)
    on_k3d = any(cluster.role == "control-plane" and cluster.source == "k3d" for cluster in settings.clusters)
    if redis.mode == "statefulset" and on_k3d:
        reason = "the control plane is a k3d cluster, which publishes no port for it"
        yield Problem("redis.mode", redis.mode, reason, "Use `mode: container`.")
