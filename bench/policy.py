"""From the change of a policy on the API server to the first request that follows it."""

from __future__ import annotations

import http.client
import time
from contextlib import ExitStack
from pathlib import Path

from bench.figures import Result, Row, percentile
from bench.programs import BenchError, Running, gateway_argv, start
from bench.setting import Bench, free_port
from bench.starters import start_backend, start_gateway
from tests.harness.api_server import ApiServer, NoBinaryError

CHANGES = 100
PATIENCE_SECONDS = 20.0
NAMESPACE = "bench"
KEY = "default/default/default/member-{}"
FLOMESH = f"/apis/flomesh.io/v1alpha1/namespaces/{NAMESPACE}"
HOST = f"service-0.{NAMESPACE}:80"


def measure(bench: Bench) -> Result:
    """The policy sends everything to one cluster and then to the other, a hundred times."""
    changes = 10 if bench.quick else CHANGES
    with ExitStack() as running:
        bench.step.update("starting an API server")
        try:
            api = running.enter_context(ApiServer(bench.folder / "api"))
        except NoBinaryError as error:
            raise BenchError(str(error)) from error
        api.install_crds()
        members = []
        for number in (1, 2):
            backend = running.enter_context(start_backend(bench, f"application-{number}")).port
            member = running.enter_context(start_gateway(bench, backend, name=f"member-{number}"))
            members.append((member.port, backend))
        _make_objects(api, [port for port, _ in members])
        caller = running.enter_context(_start_caller(bench, api.kubeconfig))
        connection = http.client.HTTPConnection("127.0.0.1", caller.port)
        running.callback(connection.close)
        _follow(connection, members[0][1])
        followed: list[float] = []
        written: list[float] = []
        for number in range(changes):
            bench.step.update(f"change {number + 1} of {changes}")
            chosen = 1 - number % 2
            began = time.monotonic()
            api.call("PATCH", f"{FLOMESH}/globaltrafficpolicies/service-0", _policy(chosen), content="merge")
            written.append(time.monotonic() - began)
            _follow(connection, members[chosen][1])
            followed.append(time.monotonic() - began)
    rows = [
        Row(what=what, figure=f"p{percent}", more_is_better=False, unit="s",
            samples={"gateway": [percentile(samples, percent)]})
        for what, samples in (
            ("change to first request that follows", followed),
            ("the change's own call", written),
        )
        for percent in (50, 99)
    ]  # fmt: skip
    return Result(
        rows, [f"{changes} changes; the change's own call to the API server is part of each figure."]
    )


def _policy(chosen: int) -> dict[str, object]:
    targets = [
        {"clusterKey": KEY.format(number + 1), "weight": 100 if number == chosen else 0} for number in (0, 1)
    ]
    return {"spec": {"lbType": "ActiveActive", "targets": targets}}


def _make_objects(api: ApiServer, members: list[int]) -> None:
    named = {"name": "service-0", "namespace": NAMESPACE}
    endpoints = [
        {
            "clusterKey": KEY.format(number),
            "target": {"host": "127.0.0.1", "ip": "127.0.0.1", "port": port, "path": "/service-0"},
        }
        for number, port in enumerate(members, 1)
    ]
    ports = [{"port": 80, "protocol": "TCP", "endpoints": endpoints}]
    flomesh = {"apiVersion": "flomesh.io/v1alpha1", "metadata": named}
    for name in (NAMESPACE, "multicluster-system"):
        api.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    api.call(
        "POST",
        f"{FLOMESH}/serviceimports",
        {**flomesh, "kind": "ServiceImport", "spec": {"type": "ClusterSetIP", "ports": ports}},
    )
    api.call(
        "POST", f"{FLOMESH}/globaltrafficpolicies", {**flomesh, "kind": "GlobalTrafficPolicy", **_policy(0)}
    )


def _start_caller(bench: Bench, kubeconfig: Path) -> Running:
    port = free_port()
    argv = gateway_argv(
        *["run", "--cluster-key", "default/default/default/caller", "--no-access-log"],
        *["--dial-loopback", "--foreign-imports"],
        *["--listen", f"127.0.0.1:{free_port()}", "--east-west", f"127.0.0.1:{port}"],
        *["--cache-dir", str(bench.folder / "cache")],
    )
    (bench.folder / "cache").mkdir()
    environment = bench.environment | {"KUBECONFIG": str(kubeconfig)}
    return start("caller", argv, core=bench.proxy_core, port=port, folder=bench.folder, env=environment)


def _follow(connection: http.client.HTTPConnection, application: int) -> None:
    """Ask until this application answers. BenchError when it does not in time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        connection.request("GET", "/", headers={"Host": HOST})
        answer = connection.getresponse()
        if f" {application} ".encode() in answer.read():
            return
    raise BenchError(f"no request has followed the policy within {PATIENCE_SECONDS:g} s of its change")
