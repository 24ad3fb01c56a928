"""What stands between a caller and an application in two clusters: their gateways, and Dapr's sidecars.

All are processes on loopback in front of one application; `hop_objects` has the objects the gateways read.
"""

from __future__ import annotations

import json
import re
import socket
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import between
from bench.hop_objects import caller_objects, caller_resources, exporter_objects
from bench.programs import Running, gateway_argv, start
from bench.setting import Bench, free_port
from bench.starters import ONE_CORE, start_backend

COUNTED = re.compile(r"^gateway_requests_total\{.*\} (\d+)", re.MULTILINE)

CALLERS_GATEWAY, OTHER_GATEWAY = "the caller's gateway", "the exporter's gateway"
CALLER, CALLEE = "the caller's sidecar", "the application's sidecar"
LOCAL_ID = "beside"
"""App-id of the sidecar that the caller's finds by itself."""


@dataclass
class Chain:
    """The running programs, and where each way begins."""

    application: int
    local: int
    """Service port of the taken-over Service."""
    remote: int
    """Service port of the imported one."""
    programs: dict[str, Running] = field(default_factory=dict)
    """By the names above."""
    admin: dict[str, int] = field(default_factory=dict)
    """Admin ports of the gateways."""

    def served(self) -> dict[str, int]:
        """Requests that each gateway says it has served so far."""
        return {name: _served(port) for name, port in self.admin.items()}


def start_chain(bench: Bench, running: ExitStack) -> Chain:
    """All programs; the sidecars where there is a daprd."""
    backend = running.enter_context(start_backend(bench)).port
    chain = start_gateways(bench, running, backend, between.make_proofs(bench.folder))
    if "daprd" in bench.peers:
        inside = free_port()
        chain.programs[CALLEE] = running.enter_context(
            _start_sidecar(bench, LOCAL_ID, inside, {}, "--app-port", str(backend))
        )
        chain.programs[CALLER] = running.enter_context(
            _start_sidecar(bench, "caller", free_port(), caller_resources(chain.remote, inside))
        )
    return chain


def start_gateways(bench: Bench, running: ExitStack, backend: int, proofs: between.Proofs) -> Chain:
    """Those of both clusters, in front of an application."""
    local, remote = _two_ports()
    chain = Chain(backend, local, remote)
    north, peers = free_port(), free_port()
    for name, key, objects, ports in (
        (
            OTHER_GATEWAY,
            between.MEMBER,
            exporter_objects(backend, proofs),
            ["--listen", f"127.0.0.1:{north}", *proofs.arguments(between.MEMBER, peers)],
        ),
        (
            CALLERS_GATEWAY,
            between.CALLER,
            caller_objects(backend, (north, peers), local, remote, proofs),
            [
                *["--listen", f"127.0.0.1:{free_port()}", "--service-ports", f"{local}-{remote}"],
                *proofs.arguments(between.CALLER, free_port()),
            ],
        ),
    ):
        chain.admin[name] = free_port()
        chain.programs[name] = running.enter_context(
            _start_gateway(bench, key, chain.admin[name], objects, ports)
        )
    return chain


def objects_file(bench: Bench, key: str) -> Path:
    """What the gateway of a cluster reads, and follows."""
    return bench.folder / f"objects-{between.name_of(key)}.json"


def _start_gateway(
    bench: Bench, key: str, admin: int, objects: Sequence[Mapping[str, Any]], ports: Sequence[str]
) -> Running:
    """With its access log, which is what a cluster's gateways have by default."""
    cluster = between.name_of(key)
    file, east = objects_file(bench, key), free_port()
    file.write_text(json.dumps({"kind": "List", "items": objects}))
    argv = gateway_argv(
        *["serve", "--objects", str(file), "--cluster-key", key, *ports],
        *["--east-west", f"127.0.0.1:{east}", "--admin", f"127.0.0.1:{admin}", "--access-log"],
    )
    core, environment = bench.proxy_core, bench.environment
    return start(f"gateway-{cluster}", argv, core=core, port=east, folder=bench.folder, env=environment)


def _start_sidecar(
    bench: Bench, app_id: str, inside: int, files: Mapping[str, Mapping[str, Any]], *arguments: str
) -> Running:
    resources, port = bench.folder / f"dapr-{app_id}", free_port()
    resources.mkdir()
    for name, content in files.items():
        version = {"apiVersion": "dapr.io/v1alpha1"}
        folder = bench.folder if name == "config.yaml" else resources
        (folder / name).write_text(json.dumps({**version, **content}))
    config = ["--config", str(bench.folder / "config.yaml")] if "config.yaml" in files else []
    argv = [
        *[bench.peers["daprd"], "--app-id", app_id, "--resources-path", str(resources), *config],
        *["--dapr-http-port", str(port), "--dapr-grpc-port", str(free_port())],
        *["--dapr-internal-grpc-port", str(inside), "--dapr-internal-grpc-listen-address", "127.0.0.1"],
        *["--dapr-listen-addresses", "127.0.0.1", "--disable-init-endpoints", "config,subscribe"],
        *[
            "--metrics-listen-address",
            "127.0.0.1",
            "--metrics-port",
            str(free_port()),
            "--log-level",
            "error",
        ],
        *arguments,
    ]
    core, folder = bench.proxy_core, bench.folder
    return start(f"daprd-{app_id}", argv, core=core, port=port, folder=folder, env=ONE_CORE)


def _served(admin: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=10) as answer:
        return sum(map(int, COUNTED.findall(answer.read().decode())))


def _two_ports() -> tuple[int, int]:
    """Two free ports that follow each other."""
    while True:
        first = free_port()
        try:
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", first + 1))
        except (OSError, OverflowError):
            continue
        return first, first + 1
