"""What 100 ConfigMaps cost: by a plain client, by the kubernetes stand-in, and by `pulumi up`.

Each turn does the same creates on the same API server, one way after the other, with the same parallelism: a
plain client's POSTs; the stand-in, asked by us over its own protocol as the engine asks it; `up` of a program
with that many ConfigMaps; and `up` of the same program with that many components instead, which no plugin
ever sees. The stand-in's own cost is the second against the first; what `up` takes beyond is the engine's and
the SDK's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import grpc.aio
from google.protobuf import struct_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from airgap.plugins import install
from bench.api import ApiServer, kube_binary
from bench.commands import complete
from bench.figures import OURS, Result, Row
from bench.programs import BenchError, find, tied
from bench.setting import Bench

COUNT, PARALLEL, TURNS = 100, 16, 7
NAMESPACE = "bench-configmaps"
MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
PLAIN, COMPONENTS, MAPS_BY_UP = "a plain client", "as many components, which no plugin sees", "up"
PROGRAM = f"""
from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes

config = pulumi.Config()
kubeconfig = Path(config.require("kubeconfig")).read_text()
provider = kubernetes.Provider("cluster", kubeconfig=kubeconfig, cluster_identifier="one")
kind = kubernetes.core.v1.ConfigMap  # imported in both cases
for index in range({COUNT}):
    name = f"map-{{index}}"
    if config.require_bool("components"):
        pulumi.ComponentResource("bench:index:Map", name, {{"data": {{"text": name}}}})
    else:
        metadata = {{"name": name, "namespace": "{NAMESPACE}"}}
        kind(name, metadata=metadata, data={{"text": name}}, opts=pulumi.ResourceOptions(provider=provider))
"""
NOTE = (
    f"Each way makes the same {COUNT} ConfigMaps, {PARALLEL} at once. No plugin can bring `up` near a plain "
    "client: what components take, of which no plugin hears, is the engine's and the SDK's own."
)


class PlainClient:
    """POSTs and nothing else; as many connections as there are creators."""

    def __init__(self, kubeconfig: str) -> None:
        config = json.loads(kubeconfig)
        self._server = config["clusters"][0]["cluster"]["server"]
        self._headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}"}
        self._tls = ssl._create_unverified_context()  # noqa: S323  its certificate is a minute old

    async def create(self) -> float:
        """Seconds of making all of them."""
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        async with aiohttp.ClientSession(connector=connector, headers=self._headers) as session:

            async def post(number: int) -> None:
                async with session.post(self._server + MAPS, json=config_map(number)) as response:
                    text = await response.text()
                    if response.status != 201:
                        raise BenchError(f"POST {MAPS}: {response.status} {text}")

            return await in_parallel(post)


async def ask_plugin(binary: Path, environment: dict[str, str], kubeconfig: str) -> float:
    """Seconds that Check and Create of all take the plugin, once it is started and configured."""
    # Without an engine's address it has nobody to send log lines to.
    process = await asyncio.create_subprocess_exec(
        *tied([str(binary)]), stdout=asyncio.subprocess.PIPE, env=environment
    )
    assert process.stdout is not None  # noqa: S101 for the type checker: it is a pipe
    try:
        port = int(await process.stdout.readline())
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            plugin: Any = provider_pb2_grpc.ResourceProviderStub(channel)
            variables = {"kubernetes:config:kubeconfig": kubeconfig}
            await plugin.Configure(provider_pb2.ConfigureRequest(variables=variables))

            async def check_and_create(number: int) -> None:
                urn = f"urn:pulumi:bench::bench::kubernetes:core/v1:ConfigMap::map-{number}"
                inputs = struct_pb2.Struct()
                inputs.update(config_map(number))
                asked = provider_pb2.CheckRequest(urn=urn, news=inputs, randomSeed=bytes(32))
                checked = await plugin.Check(asked)
                await plugin.Create(provider_pb2.CreateRequest(urn=urn, properties=checked.inputs))

            return await in_parallel(check_and_create)
    finally:
        process.terminate()
        await process.wait()


def config_map(number: int) -> dict[str, Any]:
    """One of the objects that every way makes."""
    name = f"map-{number}"
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"text": name}}


async def in_parallel(work: Callable[[int], Awaitable[None]]) -> float:
    """Seconds of doing it for every number, some at a time."""
    numbers = iter(range(COUNT))

    async def worker() -> None:
        for number in numbers:
            await work(number)

    began = time.monotonic()
    await asyncio.gather(*(worker() for _ in range(PARALLEL)))
    return time.monotonic() - began


def up(folder: Path, environment: dict[str, str], kubeconfig: str, *, components: bool) -> float:
    """Seconds of `pulumi up` of a new stack. BenchError with its output when it fails."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        root = Path(place)
        (root / "state").mkdir()
        (root / "kubeconfig").write_text(kubeconfig)
        (root / "Pulumi.yaml").write_text("name: bench-configmaps\nruntime: python\n")
        (root / "__main__.py").write_text(PROGRAM)
        env = {**environment, "PULUMI_BACKEND_URL": f"file://{root / 'state'}"}
        settings = [f"kubeconfig={root / 'kubeconfig'}", f"components={str(components).lower()}"]
        _pulumi(root, env, "stack", "init", "bench")
        _pulumi(root, env, "config", "set-all", *(part for one in settings for part in ("--plaintext", one)))
        began = time.monotonic()
        _pulumi(root, env, "up", "--yes", "--skip-preview", "--parallel", str(PARALLEL))
        return time.monotonic() - began


def _pulumi(folder: Path, env: dict[str, str], *arguments: str) -> None:
    complete(["pulumi", *arguments, "--non-interactive"], cwd=folder, env=env)


def stand_ins(bench: Bench) -> tuple[Path, dict[str, str]]:
    """The kubernetes stand-in's launcher in a PULUMI_HOME of our own, and the environment of the engine."""
    home = bench.folder / "home"
    built = find("pulumi") or next((str(path) for path in sorted(bench.cache.glob("tools/*/pulumi"))), None)
    if built is None:
        raise BenchError("no pulumi: it is built by `./stack up --supply airgap`, then run this again")
    tools = Path(built).resolve().parent  # with the language host's launcher, which serves whichever clone
    install.install_providers(home, Path(sys.executable), bench.root)
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
    environment = {
        **ours,
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "PULUMI_CONFIG_PASSPHRASE": "bench",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_HOME": str(home),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        install.PYTHON_VARIABLE: sys.executable,
        install.SOURCE_VARIABLE: str(bench.root),
    }
    return next(home.glob("plugins/resource-kubernetes-*/pulumi-resource-kubernetes")), environment


def measure(bench: Bench) -> Result:
    """All ways in turns, on an API server without nodes."""
    turns = 2 if bench.quick else TURNS
    found: dict[str, list[float]] = {name: [] for name in (PLAIN, OURS, COMPONENTS, MAPS_BY_UP)}
    with contextlib.ExitStack() as running:
        bench.step.update("starting an API server")
        api = ApiServer(kube_binary(bench.cache), bench.folder)
        running.callback(api.stop)
        api.start(bench.root / "proxy" / "crds")
        api.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        binary, environment = stand_ins(bench)
        ways: dict[str, Callable[[], float]] = {
            PLAIN: lambda: asyncio.run(PlainClient(api.kubeconfig).create()),
            OURS: lambda: asyncio.run(ask_plugin(binary, environment, api.kubeconfig)),
            COMPONENTS: lambda: up(bench.folder, environment, api.kubeconfig, components=True),
            MAPS_BY_UP: lambda: up(bench.folder, environment, api.kubeconfig, components=False),
        }
        for turn in range(turns):
            for name, way in ways.items():
                bench.step.update(f"turn {turn + 1} of {turns}: {name}")
                api.call("DELETE", MAPS)
                found[name].append(way())
    return Result(rows(found), [NOTE])


def rows(found: dict[str, list[float]]) -> list[Row]:
    """The stand-in against the plain client, `up` against what of it no plugin sees, and the seconds."""
    what = f"{COUNT} ConfigMaps, {PARALLEL} at once"
    ours, by_up = found[OURS], found[MAPS_BY_UP]
    seconds = [("the plain client", found[PLAIN]), ("the stand-in", ours), ("up", by_up)]
    seconds.append(("up of components", found[COMPONENTS]))
    return [
        Row(
            what=what,
            figure="time of the stand-in alone",
            more_is_better=False,
            samples={OURS: ours, PLAIN: found[PLAIN]},
            goal=0.5,
        ),
        Row(
            what=what,
            figure="time of up",
            more_is_better=False,
            samples={OURS: by_up, COMPONENTS: found[COMPONENTS], PLAIN: found[PLAIN]},
        ),
        *(
            Row(what=what, figure=figure, more_is_better=False, samples={OURS: taken}, unit="s")
            for figure, taken in seconds
        ),
    ]
