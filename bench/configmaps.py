"""What 100 ConfigMaps cost: by a plain client, and by `pulumi up` on the same API server.

    eval "$(./stack env dev)"
    python -m bench.configmaps --kubeconfig FILE

Each round does the same creates three ways, one after the other, with the same parallelism: a plain client's
POSTs; `up` of a program with that many ConfigMaps; `up` of the same program with that many components
instead, which is the engine's and the SDK's own share. What is left of `up` is the plugin's.
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
from pathlib import Path
from typing import Any

import aiohttp
import yaml

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
        numbers = iter(range(count))

        async def creator(session: aiohttp.ClientSession) -> None:
            for number in numbers:
                name = f"map-{number}"
                body = {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": name},
                    "data": {"text": name},
                }
                await self._call(session, "POST", f"/api/v1/namespaces/{NAMESPACE}/configmaps", body, (201,))

        async with self._session() as session:
            await asyncio.gather(*(creator(session) for _ in range(parallel)))

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
            for kind in ("component", "ConfigMap"):
                seconds[f"up, {kind}s"] = await asyncio.to_thread(up, kubeconfig, kind, count, parallel)
            found.append(seconds)
            shown = ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())
            print(f"round {number} of {rounds}: {shown}", file=sys.stderr, flush=True)
    finally:
        await client.call("DELETE", f"/api/v1/namespaces/{NAMESPACE}")
    return found


def summary(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Medians, and how many times the plain client's time `up` takes beyond the engine's own share."""
    middle = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    beyond = statistics.median(one["up, ConfigMaps"] - one["up, components"] for one in rounds)
    return {**middle, "beyond the engine": beyond, "ratio": beyond / middle["plain client"]}


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
