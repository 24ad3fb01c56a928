"""What a Mesh reads from its arguments, which may come from a program in another language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi

from ..joinable_cluster import NODE_PORTS, JoinableCluster
from .mesh_args import MeshArgs, MeshCluster, MeshHost, MeshPath, MeshPods, MeshService
from .mutual_tls import MODES, OFF, PERMISSIVE, STRICT, MutualTls
from .placement import Pods, Published


def joinable(args: MeshCluster) -> JoinableCluster:
    """The cluster of these arguments. A part of its key is `default` unless it is given."""
    parts = (args.get("region", "default"), args.get("zone", "default"), args.get("group", "default"))
    return JoinableCluster(
        name=args["name"],
        key="/".join((*parts, args["name"])),
        provider=args["provider"],
        server=args.get("server", ""),
        server_name=args.get("server_name", ""),
        gateway_host=args["gateway_host"],
        # Other languages send every number as a float.
        gateway_port=int(args["gateway_port"]),
        peers_port=int(args["peers_port"]) if "peers_port" in args else None,
        ends_with_provider=args.get("ends_with_provider", False),
    )


def granted(path: MeshPath, keys: dict[str, str]) -> dict[str, Any]:
    """A delegated path as the hub takes it. ValueError for the name of a cluster that is not in the mesh."""
    clusters = _keys(path.get("clusters", ()), keys, f"paths: {path['prefix']} is delegated to")
    return {"prefix": path["prefix"], "namespaces": list(path["namespaces"]), "clusters": clusters}


def granted_host(host: MeshHost, keys: dict[str, str]) -> dict[str, Any]:
    """A granted host as the hub takes it. ValueError as for paths."""
    clusters = _keys(host.get("clusters", ()), keys, f"hosts: {host['host']} is granted in")
    return {"host": host["host"], "namespaces": list(host["namespaces"]), "clusters": clusters}


def granted_in(cluster: str, hosts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The hosts that are granted in the cluster of this key, as its gateways and controller take them.

    Nothing else is in it: the others' changes restart nothing here.
    """
    return [
        {"host": host["host"], "namespaces": host["namespaces"]}
        for host in hosts
        if not host["clusters"] or cluster in host["clusters"]
    ]


def _keys(clusters: Sequence[str], keys: dict[str, str], what: str) -> list[str]:
    if unknown := sorted(set(clusters) - set(keys)):
        choices = ", ".join(sorted(keys))
        raise ValueError(f"{what} {unknown[0]!r}, which is no cluster of the mesh: choose from {choices}")
    return [keys[name] for name in clusters]


def described(args: MeshPods) -> Pods:
    """What is said of pods."""
    return Pods(
        node_selector=args.get("node_selector", {}),
        tolerations=args.get("tolerations", ()),
        affinity=args.get("affinity", {}),
        spread=args.get("topology_spread_constraints"),
        resources=args.get("resources", {}),
        priority_class=args.get("priority_class_name", ""),
        labels=args.get("labels", {}),
        annotations=args.get("annotations", {}),
    )


def published(args: MeshService) -> Published:
    """What is said of the gateway's Service."""
    return Published(
        annotations=args.get("annotations", {}),
        load_balancer_class=args.get("load_balancer_class", ""),
        load_balancer_address=args.get("load_balancer_address", ""),
        ip_family_policy=args.get("ip_family_policy", ""),
        ip_families=args.get("ip_families", ()),
    )


def check(args: MeshArgs) -> None:
    """Raise ValueError when these clusters are no mesh.

    A name is there twice, a member has no `server`, a port is none, `mutual_tls` is none that can be had.
    """
    seen: set[str] = set()
    for cluster in (args["control_plane"], *args["members"]):
        if cluster["name"] in seen:
            raise ValueError(
                f"members: {cluster['name']!r} is there twice; each cluster has a name of its own"
            )
        seen.add(cluster["name"])
        _check_ports(cluster)
    _check_mutual_tls(args)
    for index, member in enumerate(args["members"]):
        if "server" not in member:
            raise ValueError(
                f"members[{index}]: {member['name']!r} has no `server`: give the URL at which the hub "
                "reaches its API"
            )


def image_of(args: MeshArgs, given: MeshCluster) -> tuple[pulumi.Input[str], pulumi.Input[str]]:
    """Reference and digest of the image that a cluster's nodes run."""
    digest = given.get("image_digest", args.get("image_digest", ""))
    return given.get("image", args["image"]), digest


def node_port_of(given: MeshCluster) -> int | None:
    """The node port that publishes the gateway; None when a load balancer does."""
    port = int(given.get("node_port", given["gateway_port"]))
    return port if port in NODE_PORTS else None


def peers_node_port_of(given: MeshCluster) -> int | None:
    """The node port for gateways of other clusters; None when a load balancer, or nobody, publishes it."""
    port = int(given.get("peers_node_port", given.get("peers_port", 0)))
    return port if port in NODE_PORTS else None


def mutual_tls_of(args: MeshArgs) -> MutualTls:
    """How gateways prove to each other whose they are."""
    given = args.get("mutual_tls", {})
    reached = bool(args["members"]) and all("peers_port" in member for member in args["members"])
    return MutualTls(
        mode=given.get("mode", PERMISSIVE if reached else OFF),
        certificate_hours=float(given.get("certificate_hours", 24)),
        root_days=float(given.get("root_days", 3650)),
    )


def tracing_of(args: MeshArgs) -> tuple[str, float] | None:
    """Who gets spans, and the part of traces that is recorded; None when there are none."""
    given = args.get("tracing")
    return None if given is None else (given["endpoint"], float(given.get("sampling", 0.01)))


def _check_ports(given: MeshCluster) -> None:
    range_text = f"from {NODE_PORTS.start} to {NODE_PORTS.stop - 1}"
    for what, port in (
        ("node_port", given.get("node_port")),
        ("peers_node_port", given.get("peers_node_port")),
    ):
        if port is not None and int(port) not in NODE_PORTS:
            raise ValueError(
                f"{given['name']}: {what} is {int(port)}: choose one {range_text}, or leave it out for a "
                "load balancer"
            )
    if "peers_port" in given and (peers_node_port_of(given) is None) != (node_port_of(given) is None):
        raise ValueError(
            f"{given['name']}: gateway_port and peers_port are ports of one Service: give two node ports, "
            f"{range_text}, or none"
        )


def _check_mutual_tls(args: MeshArgs) -> None:
    tls = mutual_tls_of(args)
    if tls.mode not in MODES:
        raise ValueError(f"mutual_tls: mode is {tls.mode!r}: choose from {', '.join(MODES)}")
    for member in args["members"] if tls.mode == STRICT else ():
        if "peers_port" not in member:
            raise ValueError(
                f"{member['name']} has no `peers_port`, and mutual_tls is {STRICT}: give the port at which "
                "the gateways of other clusters reach its own"
            )
