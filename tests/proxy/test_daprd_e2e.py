"""From a gateway through real Dapr sidecars to an app: mTLS, access control, and what is sent twice.

Everything is a process on loopback. Sidecars find each other at a fixed address in place of a cluster's DNS.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from airgap.gobuild import ensure_programs
from airgap.programs import programs
from airgap.report import Report
from airgap.versions import load_versions
from components.dapr import certificates
from components.dapr.certificates import Seed
from components.mesh.dapr_sidecars import CALLER, deployment_spec, resiliency_spec
from components.mesh.workload import SYSTEM_NAMESPACE
from gateway.core.app_ids import APP_ID
from gateway.core.sidecars import INVOKE, SIDECARS
from gateway.core.snapshot import compile_snapshot
from tests.harness.ports import free_ports

pytestmark = pytest.mark.e2e

PATIENCE = 60.0
TOKEN = "a-token-of-this-test"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
LOOPBACK = "127.0.0.1"


@pytest.fixture(scope="module")
def built() -> dict[str, Path]:
    if shutil.which("go") is None:
        pytest.skip("Dapr is built from Go modules, and there is no `go` on PATH")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "multicluster-dapr"
    known = programs(load_versions())
    return ensure_programs(cache, [known["sentry"], known["daprd"]], Report())


class Dapr:
    """Sentry, the sidecar of the app `orders` in `demo`, and the one that gateways ask."""

    def __init__(self, folder: Path, built: dict[str, Path], app_port: int) -> None:
        self._folder = folder
        self._built = built
        self._app_port = app_port
        self._sentry, self._healthz, self._app, self._internal, self.port, *self._others = free_ports(8)
        issuer = certificates.issuer(Seed.parse(f"{int(time.time())}\n{'5eed' * 16}"), "one")
        self._root = issuer.root
        pems = {"ca.crt": issuer.root, "issuer.crt": issuer.certificate, "issuer.key": issuer.key}
        for name, pem in pems.items():
            (folder / name).write_text(pem)
        self._write("resources/resiliency", "Resiliency", resiliency_spec(["orders"]))
        self._write("daprsystem", "Configuration", {"mtls": {"enabled": True}})
        allowed = {"name": "/public/**", "httpVerb": ["*"], "action": "allow"}
        policy = {"appId": CALLER, "namespace": SYSTEM_NAMESPACE, "trustDomain": "public"}
        policy |= {"defaultAction": "deny", "operations": [allowed]}
        control = {"defaultAction": "deny", "trustDomain": "public", "policies": [policy]}
        self._write("app", "Configuration", {"mtls": {"enabled": True}, "accessControl": control})
        template = {"template": f"{LOOPBACK}:{self._internal}"}
        resolver = {"component": "kubernetes", "version": "v1", "configuration": template}
        self._write("gateway", "Configuration", {"mtls": {"enabled": True}, "nameResolution": resolver})

    def _write(self, name: str, kind: str, spec: dict[str, Any]) -> None:
        path = self._folder / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        metadata = {"name": path.stem}
        path.write_text(
            yaml.safe_dump(
                {"apiVersion": "dapr.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
            )
        )

    @contextmanager
    def _process(self, name: str, *argv: object, **env: str) -> Iterator[subprocess.Popen[bytes]]:
        with (self._folder / f"{name}.log").open("ab") as log:
            running = subprocess.Popen(
                [str(part) for part in argv],
                env={**os.environ, **env},
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        try:
            yield running
        finally:
            running.kill()
            running.wait()

    @contextmanager
    def sentry(self) -> Iterator[None]:
        with self._process(
            "sentry", self._built["sentry"], "--issuer-credentials=.", "--trust-domain=cluster.local",
            "--config=daprsystem.yaml", f"--port={self._sentry}", f"--listen-address={LOOPBACK}",
            f"--healthz-port={self._healthz}", f"--healthz-listen-address={LOOPBACK}",
            "--enable-metrics=false", NAMESPACE="dapr-system",
        ):  # fmt: skip
            wait(f"http://{LOOPBACK}:{self._healthz}/healthz")
            yield

    @contextmanager
    def _sidecar(
        self, name: str, namespace: str, app_id: str, ports: Sequence[int], *more: str, **env: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        http, internal, grpc = ports
        with self._process(
            name, self._built["daprd"], f"--app-id={app_id}", f"--config={name}.yaml", "--enable-mtls",
            f"--sentry-address={LOOPBACK}:{self._sentry}", "--control-plane-namespace=dapr-system",
            "--control-plane-trust-domain=cluster.local", f"--dapr-http-port={http}",
            f"--dapr-internal-grpc-port={internal}", f"--dapr-grpc-port={grpc}", "--enable-metrics=false",
            f"--dapr-listen-addresses={LOOPBACK}", f"--dapr-internal-grpc-listen-address={LOOPBACK}", *more,
            NAMESPACE=namespace, DAPR_TRUST_ANCHORS=self._root, **env,
        ) as running:  # fmt: skip
            wait(f"http://{LOOPBACK}:{http}/v1.0/healthz")
            yield running

    @contextmanager
    def of_the_app(self) -> Iterator[subprocess.Popen[bytes]]:
        ports = self._app, self._internal, self._others[0]
        with self._sidecar("app", "demo", "orders", ports, f"--app-port={self._app_port}") as running:
            yield running

    @contextmanager
    def of_the_gateway(self) -> Iterator[None]:
        annotations = deployment_spec(replicas=1, image="", restarts_with={})["template"]["metadata"][
            "annotations"
        ]
        sizes = [
            f"--{name}={annotations[f'dapr.io/{name}']}" for name in ("max-body-size", "read-buffer-size")
        ]
        ports = self.port, self._others[1], self._others[2]
        with self._sidecar(
            "gateway",
            SYSTEM_NAMESPACE,
            CALLER,
            ports,
            "--resources-path=resources",
            *sizes,
            DAPR_API_TOKEN=TOKEN,
        ):
            yield


def wait(url: str) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5):  # noqa: S310  loopback
            return
        time.sleep(0.1)
    raise AssertionError(f"{url} does not answer well within {PATIENCE:g} s")


async def exporter(net: Any, make: Any, sidecar: int) -> int:
    """A gateway that reaches its export through the sidecar at that port; its own port for requests."""
    export = make.export(pathRewrite={"from": "^/app/?", "to": "/"})
    export["metadata"]["annotations"] = {APP_ID: "orders", INVOKE: "sidecar"}
    asked = [
        make.service(SIDECARS[1], {3500: "http"}),
        make.slice(LOOPBACK, name=SIDECARS[1], port=sidecar),
    ]
    for obj in asked:
        obj["metadata"]["namespace"] = SIDECARS[0]
    objects = [make.service(), make.slice("10.255.255.1"), export, *asked]
    north, _, server = await net.gateway(*objects)
    server.swap(compile_snapshot(objects, make.key("here"), dapr_token=TOKEN.encode()).snapshot)
    return int(north)


async def test_the_apps_access_control_holds_for_requests_of_other_clusters(
    net: Any, make: Any, ok: Any, built: dict[str, Path], tmp_path: Path
) -> None:
    app = await net.app(lambda head, body: ok(json.dumps([head.decode(), len(body)]).encode()))
    with ExitStack() as running:

        def start() -> Dapr:
            dapr = Dapr(tmp_path, built, app)
            for one in (dapr.sentry(), dapr.of_the_app(), dapr.of_the_gateway()):
                running.enter_context(one)
            return dapr

        dapr = await asyncio.to_thread(start)
        north = await exporter(net, make, dapr.port)
        fields = f"traceparent: {TRACE}\r\ndapr-app-id: {CALLER}\r\nX-Long: {'a' * 20_000}\r\n"
        status, _, body = await net.ask(north, "/app/public/a?x=%2F", fields=fields)
        head = json.loads(body)[0].lower()
        assert status == 200
        assert head.startswith("get /public/a?x=%2f http/1.1\r\n")
        assert f"\r\ndapr-caller-app-id: {CALLER}\r\n" in head
        assert f"\r\ntraceparent: {TRACE[:36]}" in head, "the same trace"
        status, _, body = await net.ask(north, "/app/public/b", method="POST", body=b"x" * 10_000_000)
        assert (status, json.loads(body)[1]) == (200, 10_000_000)
        for method in ("GET", "POST"):
            status, head, body = await net.ask(north, "/app/private", method=method)
            assert status == 403, "an answer, whatever may be repeated"
            assert b"X-Gateway-Refused" not in head
            assert b"access control policy has denied" in body
        status, _, _ = await net.ask(dapr.port, "/v1.0/invoke/orders.demo/method/public/a")
        assert status == 401, "nobody else speaks for the gateways"


@pytest.mark.parametrize(("method", "expected"), [("POST", 500), ("GET", 502)])
async def test_a_request_is_executed_once_when_the_apps_sidecar_is_killed(  # noqa: PLR0917  fixtures
    net: Any, make: Any, ok: Any, built: dict[str, Path], tmp_path: Path, method: str, expected: int
) -> None:
    executed = 0
    arrived = asyncio.Event()

    async def slow(head: bytes, _body: bytes) -> bytes:
        nonlocal executed
        if b" /public/" in head:  # a sidecar asks for things of its own when it starts
            executed += 1
            arrived.set()
            await asyncio.sleep(2)
        return bytes(ok())

    app = await net.app(slow)
    dapr = Dapr(tmp_path, built, app)
    with ExitStack() as running, ExitStack() as killed:
        for one in (dapr.sentry(), dapr.of_the_gateway()):
            await asyncio.to_thread(running.enter_context, one)
        sidecar = await asyncio.to_thread(killed.enter_context, dapr.of_the_app())
        north = await exporter(net, make, dapr.port)
        asked = asyncio.create_task(net.ask(north, "/app/public/a", method=method))
        async with asyncio.timeout(PATIENCE):
            await arrived.wait()
        sidecar.kill()
        sidecar.wait()
        await asyncio.to_thread(running.enter_context, dapr.of_the_app())  # there for a second try
        status, head, _ = await asked
        await asyncio.sleep(3)  # Dapr's built-in retries are a second apart
    assert status == expected
    assert (b"X-Gateway-Refused: not-invoked" in head) is (method == "GET"), "which may go to another cluster"
    assert executed == 1
