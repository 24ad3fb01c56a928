"""What 100 ConfigMaps cost: by a plain client, and by `pulumi up` on the same API server.

    eval "$(./stack env dev)"
    python -m bench.configmaps --kubeconfig FILE

Each round does the same creates, one way after the other, with the same parallelism: a plain client's POSTs;
the kubernetes plugin of PULUMI_HOME, asked by us over its own protocol as the engine asks it; `up` of a
program with that many ConfigMaps; and `up` of the same program with that many components instead, which no
plugin ever sees. The plugin's own cost is the second against the first; what `up` takes beyond is the
engine's and the SDK's.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import grpc.aio
import yaml
from google.protobuf import struct_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

NAMESPACE = "bench-configmaps"
PROGRAM = """
import pulumi
import pulumi_kubernetes as kubernetes

config = pulumi.Config()
provider = kubernetes.Provider("cluster", kubeconfig=config.require("kubeconfig"), cluster_identifier="one")
for index in range(config.require_int("count")):
    name = f"map-{index}"
    if config.require("kind") == "component":
        pulumi.ComponentResource("bench:index:Map", name, {"data": {"text": name}})
    else:
        kubernetes.core.v1.ConfigMap(
            name,
            metadata={"name": name, "namespace": config.require("namespace")},
            data={"text": name},
            opts=pulumi.ResourceOptions(provider=provider),
        )
"""


class PlainClient:
    """POSTs and nothing else; one connection per creator, as many creators as `parallel`."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        names = next(c["context"] for c in config["contexts"] if c["name"] == config["current-context"])
        cluster = next(c["cluster"] for c in config["clusters"] if c["name"] == names["cluster"])
        user = next(u["user"] for u in config["users"] if u["name"] == names["user"])
        self._server = cluster["server"]
        self._headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        self._tls = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )
        if "client-certificate-data" in user:
            with tempfile.NamedTemporaryFile() as pair:
                for name in ("client-certificate-data", "client-key-data"):
                    pair.write(base64.b64decode(user[name]) + b"\n")
                pair.flush()
                self._tls.load_cert_chain(pair.name)

    async def call(
        self, method: str, path: str, body: Any = None, expected: tuple[int, ...] = (200, 201)
    ) -> None:
        """One call on a connection of its own. Raises RuntimeError with the server's words."""
        async with self._session() as session:
            await self._call(session, method, path, body, expected)

    async def create(self, count: int, parallel: int) -> None:
        """`count` ConfigMaps in the namespace."""
        maps = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
        async with self._session() as session:
            await _in_parallel(
                count,
                parallel,
                lambda number: self._call(session, "POST", maps, _config_map(number), (201,)),
            )

    def _session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        return aiohttp.ClientSession(connector=connector, headers=self._headers)

    async def _call(
        self, session: aiohttp.ClientSession, method: str, path: str, body: Any, expected: tuple[int, ...]
    ) -> None:
        async with session.request(method, self._server + path, json=body) as response:
            text = await response.text()
            if response.status not in expected:
                raise RuntimeError(f"{method} {path}: {response.status} {text}")


async def ask_plugin(kubeconfig: Path, count: int, parallel: int) -> float:
    """Seconds that `count` times Check and Create take the plugin, once it is started and configured."""
    plugins = Path(os.environ["PULUMI_HOME"]) / "plugins"
    binary = next(plugins.glob("resource-kubernetes-v*/pulumi-resource-kubernetes"))
    # Without an engine's address it has nobody to send log lines to.
    process = await asyncio.create_subprocess_exec(str(binary), stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None  # noqa: S101 for the type checker: it is a pipe
    try:
        port = int(await process.stdout.readline())
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            plugin: Any = provider_pb2_grpc.ResourceProviderStub(channel)
            variables = {"kubernetes:config:kubeconfig": await asyncio.to_thread(kubeconfig.read_text)}
            await plugin.Configure(provider_pb2.ConfigureRequest(variables=variables))
            began = time.monotonic()
            await _in_parallel(count, parallel, lambda number: _check_and_create(plugin, number))
            return time.monotonic() - began
    finally:
        process.terminate()
        await process.wait()


async def _check_and_create(plugin: Any, number: int) -> None:
    urn = f"urn:pulumi:bench::bench::kubernetes:core/v1:ConfigMap::map-{number}"
    inputs = struct_pb2.Struct()
    inputs.update(_config_map(number))
    checked = await plugin.Check(provider_pb2.CheckRequest(urn=urn, news=inputs, randomSeed=bytes(32)))
    await plugin.Create(provider_pb2.CreateRequest(urn=urn, properties=checked.inputs))


def _config_map(number: int) -> dict[str, Any]:
    name = f"map-{number}"
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"text": name}}


async def _in_parallel(count: int, parallel: int, work: Callable[[int], Awaitable[None]]) -> None:
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await work(number)

    await asyncio.gather(*(worker() for _ in range(parallel)))


def up(kubeconfig: Path, kind: str, count: int, parallel: int) -> float:
    """Seconds of `pulumi up` of a new stack. Raises RuntimeError with its output."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "state").mkdir()
        (root / "Pulumi.yaml").write_text("name: bench-configmaps\nruntime: python\n")
        (root / "__main__.py").write_text(PROGRAM)
        others = ("PULUMI_STACK", "PULUMI_CONFIG_PASSPHRASE_FILE")
        ours = {name: value for name, value in os.environ.items() if name not in others}
        env = {**ours, "PULUMI_BACKEND_URL": f"file://{root / 'state'}", "PULUMI_CONFIG_PASSPHRASE": "bench"}
        settings = {
            "kubeconfig": str(kubeconfig.resolve()),
            "count": str(count),
            "kind": kind,
            "namespace": NAMESPACE,
        }
        _pulumi(root, env, "stack", "init", "bench")
        _pulumi(root, env, "config", "set-all", *_plaintext(settings))
        began = time.monotonic()
        _pulumi(root, env, "up", "--yes", "--skip-preview", "--parallel", str(parallel))
        return time.monotonic() - began


def _plaintext(settings: dict[str, str]) -> list[str]:
    return [part for key, value in settings.items() for part in ("--plaintext", f"{key}={value}")]


def _pulumi(folder: Path, env: dict[str, str], *arguments: str) -> None:
    command = ["pulumi", *arguments, "--non-interactive"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


async def measure(kubeconfig: Path, count: int, parallel: int, rounds: int) -> list[dict[str, float]]:
    """Seconds of each way, by round; the namespace is gone afterwards."""
    client = PlainClient(kubeconfig)
    maps = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
    found = []
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    await client.call("POST", "/api/v1/namespaces", namespace, (201, 409))
    try:
        for number in range(1, rounds + 1):
            await client.call("DELETE", maps)
            began = time.monotonic()
            await client.create(count, parallel)
            seconds = {"plain client": time.monotonic() - began}
            await client.call("DELETE", maps)
            seconds["plugin"] = await ask_plugin(kubeconfig, count, parallel)
            await client.call("DELETE", maps)
            for kind in ("component", "ConfigMap"):
                seconds[f"up, {kind}s"] = await asyncio.to_thread(up, kubeconfig, kind, count, parallel)
            found.append(seconds)
            shown = ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())
            print(f"round {number} of {rounds}: {shown}", file=sys.stderr, flush=True)
    finally:
        await client.call("DELETE", f"/api/v1/namespaces/{NAMESPACE}")
    return found


def summary(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Medians over the rounds, and each way's against the plain client's of its round."""
    middle = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    ratios = {
        f"{name} / plain client": statistics.median(one[name] / one["plain client"] for one in rounds)
        for name in list(rounds[0])[1:]
    }
    return {**middle, **ratios}


def main() -> None:
    """Measure and print the summary as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--parallel", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    rounds = asyncio.run(measure(chosen.kubeconfig, chosen.count, chosen.parallel, chosen.rounds))
    print(json.dumps({name: round(value, 2) for name, value in summary(rounds).items()}, indent=2))


if __name__ == "__main__":
    main()
