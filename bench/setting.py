"""The scene of a comparison: ports, folders, routes, and the peers' configurations written out for it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Protocol

from bench.programs import Running, find, gateway_argv, start

PEERS = Path(__file__).parent / "peers"
BODIES = {"small": 0, "64k": 64 * 1024, "1m": 1024 * 1024}
"""Bytes by name; a request target that ends in the name gets as many."""

CLUSTER = "default/default/default/bench"
"""The gateway's cluster key."""


class Note(Protocol):
    """Where progress goes: the step of whoever runs the section."""

    def update(self, text: str) -> None: ...


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
    step: Note
    quick: bool = False
    proxy_core: int = 0
    load_core: int = 1
    """For load and application. The same as `proxy_core` on a machine with one core."""

    @property
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self.gateway)}


class PeerFile(Template):
    """`@{name}`, because `$` is a sign of every peer's own language."""

    delimiter = "@"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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


def start_backend(bench: Bench, name: str = "application") -> Running:
    """The application: nginx that answers from memory, small answers with its port."""
    files, port = bench.folder / "files", free_port()
    files.mkdir(exist_ok=True)
    for body, size in BODIES.items():
        (files / body).write_bytes(b"x" * size)
    config = bench.folder / f"{name}.conf"
    config.write_text(render("backend.conf", folder=bench.folder, backend=port, name=name))
    return start(name, ["nginx", "-c", str(config)], core=bench.load_core, port=port, folder=bench.folder)


def start_gateway(
    bench: Bench, backend: int, routes: int = 1, *, log: bool = False, name: str = "gateway"
) -> Running:
    objects, port = bench.folder / f"{name}-objects.json", free_port()
    objects.write_text(gateway_objects(routes, backend))
    argv = gateway_argv(
        *["serve", "--objects", str(objects), "--cluster-key", CLUSTER, "--listen", f"127.0.0.1:{port}"],
        *["--admin", f"127.0.0.1:{free_port()}", "--access-log" if log else "--no-access-log"],
    )
    return start(name, argv, core=bench.proxy_core, port=port, folder=bench.folder, env=bench.environment)


def start_nginx(bench: Bench, backend: int, routes: int = 1, *, log: bool = False) -> Running:
    port = free_port()
    (bench.folder / "nginx-routes.conf").write_text(
        "".join(f"location {path} {{ proxy_pass http://application; }}\n" for path in paths(routes))
    )
    config = bench.folder / "nginx.conf"
    logged = "/dev/null bench buffer=64k flush=1s" if log else "off"
    config.write_text(render("nginx.conf", folder=bench.folder, backend=backend, port=port, nginx_log=logged))
    return start("nginx", ["nginx", "-c", str(config)], core=bench.proxy_core, port=port, folder=bench.folder)


def start_haproxy(bench: Bench, backend: int, routes: int = 1, *, log: bool = False) -> Running:
    port = free_port()
    (bench.folder / "haproxy.map").write_text("".join(f"{path} application\n" for path in paths(routes)))
    config = bench.folder / "haproxy.cfg"
    lines = "log global\n    option httplog" if log else "no log"
    config.write_text(
        render("haproxy.cfg", folder=bench.folder, backend=backend, port=port, haproxy_log_lines=lines)
    )
    argv = ["haproxy", "-db", "-f", str(config)]
    return start("haproxy", argv, core=bench.proxy_core, port=port, folder=bench.folder)


Starter = Callable[..., Running]
STARTERS: dict[str, Starter] = {"nginx": start_nginx, "haproxy": start_haproxy}


def peers() -> dict[str, Starter]:
    """The peers this machine has."""
    return {name: starter for name, starter in STARTERS.items() if find(name)}
