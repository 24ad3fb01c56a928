"""Objects of two clusters for the gateways in `chain`, as hub and controller leave them. Pure.

The caller's cluster has the application itself, as the Service `local`, which is taken over: its pods are
known from the Service beside it. The member exports the Service `remote`, which the caller's imports. Each
has a service port there. Between them is mutual TLS.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bench.between import CALLER, MEMBER, Proofs

NAMESPACE = "bench"
PATH = "/remote"
PORT = 80
"""Of both Services."""
MESH = "multicluster.flomesh.io"
REMOTE_ID = "remote"
"""App-id behind an HTTPEndpoint."""


def exporter_objects(backend: int, proofs: Proofs) -> list[dict[str, Any]]:
    """Those of the member, whose gateway serves its pods."""
    rule = {"path": PATH, "pathType": "Prefix", "portNumber": PORT}
    return [
        {"kind": "Service", "metadata": _named("remote"), "spec": _ports()},
        _pods("remote", {"kubernetes.io/service-name": "remote"}, backend),
        {
            "kind": "ServiceExport",
            "metadata": _named("remote"),
            "spec": {"rules": [rule], "pathRewrite": {"from": f"^{PATH}/?", "to": "/"}},
        },
        proofs.peer(CALLER),
    ]


def caller_objects(
    backend: int, member: tuple[int, int], local: int, remote: int, proofs: Proofs
) -> list[dict[str, Any]]:
    """Those of the caller's cluster, as its controller leaves them.

    `member`: where the member's gateway serves paths, and where it listens for other gateways.
    """
    north, peers = member
    target = {"host": "127.0.0.1", "ip": "127.0.0.1", "port": north, "path": PATH}
    ports = [{"port": PORT, "endpoints": [{"clusterKey": MEMBER, "target": target}]}]
    taken = {f"{MESH}/selector": '{"app":"local"}'}
    return [
        {"kind": "Service", "metadata": {**_named("local"), "annotations": taken}, "spec": _ports()},
        {
            "kind": "Service",
            "metadata": {**_named("local-local"), "labels": {f"{MESH}/local-of": "local"}},
            "spec": {**_ports(), "clusterIP": "None", "selector": {"app": "local"}},
        },
        _pods(
            "local-local",
            {"kubernetes.io/service-name": "local-local", f"{MESH}/local-of": "local"},
            backend,
        ),
        _gateways("local", local),
        {"kind": "ServiceImport", "metadata": _named("local"), "spec": {"ports": ports}},
        {"kind": "GlobalTrafficPolicy", "metadata": _named("local"), "spec": {"lbType": "FailOver",
            "targets": [{"clusterKey": MEMBER}]}},
        _gateways("remote", remote),
        {"kind": "ServiceImport", "metadata": _named("remote"), "spec": {"ports": ports}},
        {"kind": "GlobalTrafficPolicy", "metadata": _named("remote"), "spec": {"lbType": "ActiveActive"}},
        proofs.peer(MEMBER, peers),
    ]  # fmt: skip


def caller_resources(remote: int, inside: int) -> dict[str, Mapping[str, Any]]:
    """What the caller's sidecar reads, by file name: an HTTPEndpoint as the controller makes it, and the
    resolver of a cluster, which gives an address here in place of a DNS name.

    `inside`: the port at which the other sidecar listens for sidecars.
    """
    endpoint = {"baseUrl": f"http://127.0.0.1:{remote}"}
    resolver = {"component": "kubernetes", "configuration": {"template": f"127.0.0.1:{inside}"}}
    return {
        "endpoint.yaml": {"kind": "HTTPEndpoint", "metadata": {"name": REMOTE_ID}, "spec": endpoint},
        "config.yaml": {
            "kind": "Configuration",
            "metadata": {"name": "config"},
            "spec": {"nameResolution": resolver},
        },
    }


def _named(name: str) -> dict[str, Any]:
    return {"name": name, "namespace": NAMESPACE}


def _ports() -> dict[str, Any]:
    return {"ports": [{"port": PORT, "name": "http"}]}


def _pods(name: str, labels: Mapping[str, str], backend: int) -> dict[str, Any]:
    return {
        "kind": "EndpointSlice",
        "metadata": {**_named(f"{name}-1"), "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.1"]}],
        "ports": [{"name": "http", "port": backend, "protocol": "TCP"}],
    }


def _gateways(name: str, port: int) -> dict[str, Any]:
    """The slice that says which Service a service port stands for."""
    labels = {f"{MESH}/service": name, "endpointslice.kubernetes.io/managed-by": "multicluster-gateway"}
    return {
        "kind": "EndpointSlice",
        "metadata": {
            **_named(f"{name}-imported"),
            "labels": labels,
            "annotations": {f"{MESH}/service-ports": json.dumps({str(port): PORT})},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.1"]}],
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
    }
