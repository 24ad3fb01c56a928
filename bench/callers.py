"""Proxies in front of two clusters: the gateway and its peers, and whether each has ejected a cluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.programs import Running, gateway_argv, start
from bench.setting import Bench, free_port
from bench.starters import await_route, start_peer, write

PATH = "/service-0"
HOST = "service-0.bench:80"


@dataclass(frozen=True)
class Caller:
    """A proxy with two clusters behind it."""

    program: Running
    ejected: Callable[[int], Awaitable[bool]]
    """Whether it sends nothing to the cluster on this port now, as it says itself."""


def start_gateway(bench: Bench, members: Sequence[int]) -> Caller:
    named = {"name": "service-0", "namespace": "bench"}
    endpoints = [
        {
            "clusterKey": f"default/default/default/member-{number}",
            "target": {"host": "127.0.0.1", "ip": "127.0.0.1", "port": port, "path": PATH},
        }
        for number, port in enumerate(members, 1)
    ]
    ports = [{"port": 80, "endpoints": endpoints}]
    items = [
        {"kind": "ServiceImport", "metadata": named, "spec": {"ports": ports}},
        {"kind": "GlobalTrafficPolicy", "metadata": named, "spec": {"lbType": "ActiveActive"}},
    ]
    objects = bench.folder / "caller-objects.json"
    objects.write_text(json.dumps({"kind": "List", "items": items}))
    port, north, admin = free_port(), free_port(), free_port()
    argv = gateway_argv(
        *["serve", "--objects", str(objects), "--cluster-key", "default/default/default/caller"],
        *["--listen", f"127.0.0.1:{north}", "--east-west", f"127.0.0.1:{port}"],
        *["--admin", f"127.0.0.1:{admin}", "--no-access-log"],
    )
    core, environment = bench.proxy_core, bench.environment
    program = start("gateway", argv, core=core, port=port, folder=bench.folder, env=environment)

    async def ejected(member: int) -> bool:
        return f"127.0.0.1:{member}" in (await _get(admin, "/config"))["ejected"]

    return Caller(program, ejected)


def start_nginx(bench: Bench, members: Sequence[int]) -> Caller:
    port, log = free_port(), bench.folder / "nginx.log"
    config = write(bench, "nginx-failover.conf", port=port, one=members[0], two=members[1])
    program = start_peer(bench, "nginx", port, "-c", str(config))

    async def ejected(member: int) -> bool:
        return any(
            "temporarily disabled" in line and f"127.0.0.1:{member}/" in line
            for line in log.read_text().splitlines()
        )

    return Caller(program, ejected)


def start_haproxy(bench: Bench, members: Sequence[int]) -> Caller:
    port = free_port()
    config = write(bench, "haproxy-failover.cfg", port=port, one=members[0], two=members[1], path=PATH)
    program = start_peer(bench, "haproxy", port, "-db", "-f", str(config))

    async def ejected(member: int) -> bool:
        states = await _servers(bench.folder / "haproxy.sock")
        return states[f"port-{member}"] == "0"  # stopped

    return Caller(program, ejected)


def start_traefik(bench: Bench, members: Sequence[int]) -> Caller:
    port, admin = free_port(), free_port()
    config = write(bench, "traefik-failover.yml", port=port, admin=admin)
    write(bench, "traefik-failover-routes.yml", one=members[0], two=members[1], path=PATH)
    program = start_peer(bench, "traefik", port, f"--configfile={config}")
    await_route(program, PATH)

    async def ejected(member: int) -> bool:
        service = await _get(admin, "/api/http/services/clusters@file")
        return bool(service["serverStatus"][f"http://127.0.0.1:{member}"] == "DOWN")

    return Caller(program, ejected)


Starter = Callable[[Bench, Sequence[int]], Caller]
PEERS: Mapping[str, Starter] = {"nginx": start_nginx, "haproxy": start_haproxy, "traefik": start_traefik}


def starters(bench: Bench) -> dict[str, Starter]:
    """The gateway, and the peers this machine has."""
    return {"gateway": start_gateway, **{name: one for name, one in PEERS.items() if name in bench.peers}}


async def _get(port: int, path: str) -> Any:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return json.loads(answer.partition(b"\r\n\r\n")[2])


async def _servers(socket: Path) -> dict[str, str]:
    """HAProxy's state of each server, by its name."""
    reader, writer = await asyncio.open_unix_connection(socket)
    writer.write(b"show servers state clusters\n")
    lines = (await reader.read()).decode().splitlines()
    writer.close()
    rows = [line.split() for line in lines[2:] if line]
    return {row[3]: row[5] for row in rows}
