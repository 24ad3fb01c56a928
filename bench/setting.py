"""The setting of a comparison: ports, folders, routes, and the peers' configurations written out for it."""

from __future__ import annotations

import json
import os
import socket
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from airgap.report import Step

PEERS = Path(__file__).parent / "peers"
BODIES = {"small": 0, "4k": 4 * 1024, "64k": 64 * 1024, "1m": 1024 * 1024}
"""Bytes by name; a request target that ends in the name gets as many."""
UPLOAD = "upload"
"""A request target that ends in this is answered once its body has been read."""

CLUSTER = "default/default/default/bench"
"""The gateway's cluster key."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a section may use."""

    folder: Path
    """Its own, in memory, gone afterwards."""
    root: Path
    """The repository."""
    cache: Path
    gateway: Path
    """The gateway's package: compiled, or as it is on file."""
    step: Step
    peers: Mapping[str, str] = field(default_factory=dict)
    """Paths of the peers' programs, by name."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Why a peer is not among them, by name."""
    quick: bool = False
    proxy_core: int = 0
    load_core: int = 1
    """For load and application. The same as `proxy_core` on a machine with one core."""

    @property
    def environment(self) -> dict[str, str]:
        """The gateway and what it is made of, for a Python that is not ours."""
        return {"PYTHONPATH": f"{self.gateway}{os.pathsep}{sysconfig.get_path('purelib')}"}


class PeerFile(Template):
    """`@{name}`, because `$` is a sign of every peer's own language."""

    delimiter = "@"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def paths(routes: int) -> list[str]:
    """The path of each route."""
    return [f"/service-{number}" for number in range(routes)]


def render(name: str, /, **values: object) -> str:
    """A file of `peers/` with its `@{...}` filled in."""
    return PeerFile((PEERS / name).read_text()).substitute(values)


def gateway_objects(routes: int, backend: int) -> str:
    """The gateway's own objects: for each route a Service, its endpoint, an export and a policy, as JSON."""
    items: list[dict[str, object]] = []
    for number, path in enumerate(paths(routes)):
        named = {"name": f"service-{number}", "namespace": "bench"}
        rule = {"path": path, "pathType": "Prefix", "portNumber": 80}
        labels = {"kubernetes.io/service-name": named["name"]}
        items += [
            {"kind": "Service", "metadata": named, "spec": {"ports": [{"port": 80, "name": "http"}]}},
            {
                "kind": "EndpointSlice",
                "metadata": {**named, "labels": labels},
                "addressType": "IPv4",
                "endpoints": [{"addresses": ["127.0.0.1"]}],
                "ports": [{"name": "http", "port": backend, "protocol": "TCP"}],
            },
            {"kind": "ServiceExport", "metadata": named, "spec": {"rules": [rule]}},
            {"kind": "GlobalTrafficPolicy", "metadata": named, "spec": {"lbType": "FailOver"}},
        ]
    return json.dumps({"kind": "List", "items": items})
