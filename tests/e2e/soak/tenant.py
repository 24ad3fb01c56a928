"""A hostile tenant: all that somebody with rights in one namespace can write there, over and over."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from e2e.soak.world import ECHO, EVIL, FLOMESH, GOOD, made

KINDS = (
    "serviceexports.flomesh.io,serviceimports.flomesh.io,globaltrafficpolicies.flomesh.io,"
    "services,endpointslices"
)
PAUSE = 8.0
"""Seconds between two turns: the API servers of four clusters check, store and tell what one makes, on one
machine."""
CALL_SECONDS = 60
NOTE = "x" * 250_000

Object = dict[str, Any]


def rule(path: str, port: int = 80, kind: str = "Prefix") -> Object:
    return {"path": path, "pathType": kind, "portNumber": port}


def export(name: str, *rules: Object, **spec: Any) -> Object:
    annotations = spec.pop("annotations", {})
    return made(
        FLOMESH,
        "ServiceExport",
        EVIL,
        name,
        metadata={"annotations": annotations},
        spec={"rules": list(rules), **spec},
    )


def service(name: str, *ports: int, **rest: Any) -> Object:
    listed = [{"name": f"p{port}", "port": port} for port in ports or (80,)]
    metadata = rest.pop("metadata", {})
    return made("v1", "Service", EVIL, name, metadata=metadata, spec={"ports": listed, **rest})


def pods(name: str, *addresses: str, port: int = 3000, label: str = "p80", **labels: str) -> Object:
    marks = {"kubernetes.io/service-name": name, **labels}
    return made(
        "discovery.k8s.io/v1", "EndpointSlice", EVIL, f"{name}-{port}",
        metadata={"labels": marks}, addressType="IPv4",
        endpoints=[{"addresses": [one]} for one in addresses], ports=[{"name": label, "port": port}],
    )  # fmt: skip


def others_paths(_: Mapping[str, str]) -> list[Object]:
    paths = (
        f"/{ECHO}/login",
        f"/{ECHO}",
        f"/{ECHO}/cart",
        "/",
        f"/{ECHO}/..*",
        f"/{ECHO}%2Flogin",
        f"/{ECHO.upper()}",
    )
    return [
        export(EVIL, *map(rule, paths)),
        export(ECHO, rule(f"/{ECHO}")),
        service(ECHO, selector={"serves": EVIL}),
    ]


def rewrites(_: Mapping[str, str]) -> list[Object]:
    pairs = [
        (".", "x" * 1024),
        ("(a?){500}b|a", "y"),
        ("$", "/" * 1000),
        (".*", "$&" * 500),
        ("^/", "\r\nX: y\r\n\r\n"),
        ("(", "/"),
    ]
    return [
        item
        for number, (source, to) in enumerate(pairs)
        for item in (
            service(f"r{number}", selector={"serves": EVIL}),
            export(f"r{number}", rule(f"/{EVIL}/{number}"), pathRewrite={"from": source, "to": to}),
        )
    ]


def many(_: Mapping[str, str]) -> list[Object]:
    ports = range(1000, 1064)
    return [
        item
        for number in range(4)
        for item in (
            service(f"m{number}", *ports, selector={"serves": EVIL}),
            export(
                f"m{number}", *(rule(f"/{EVIL}/many/{number}/{port}/" + "d/" * 300, port) for port in ports)
            ),
        )
    ]


def large(_: Mapping[str, str]) -> list[Object]:
    notes = {"annotations": {"note": NOTE}}
    return [
        item
        for number in range(6)
        for item in (
            service(f"l{number}", metadata=notes),
            export(f"l{number}", rule(f"/{EVIL}/l{number}"), annotations={"note": NOTE}),
        )
    ]


def others_pods(known: Mapping[str, str]) -> list[Object]:
    """Endpoints that are not the tenant's: the good server, ports of the gateway, node and controller."""
    found = []
    wanted = [
        ("echo", 3000),
        ("gateway", 9090),
        ("gateway", 15080),
        ("node", 80),
        ("controller", 9090),
        ("gateway", 20000),
    ]
    for number, (who, port) in enumerate(wanted):
        name = f"s{number}"
        found += [service(name), export(name, rule(f"/{EVIL}/{number}")), pods(name, known[who], port=port)]
    return found


def marks(known: Mapping[str, str]) -> list[Object]:
    """Slices and Services that claim to be the gateway's, or the good service's."""
    ours = {
        "multicluster.flomesh.io/service": ECHO,
        "endpointslice.kubernetes.io/managed-by": "multicluster-gateway",
    }
    slice_ = pods(ECHO, known["gateway"], port=20017, **ours)
    slice_["metadata"]["annotations"] = {
        "multicluster.flomesh.io/service-ports": '{"20017": 80, "20000": 80}'
    }
    derived = {
        "multicluster.flomesh.io/imported": "true",
        "app.kubernetes.io/managed-by": "multicluster-gateway",
    }
    return [
        slice_,
        service(f"{ECHO}-clusterset", metadata={"labels": derived}),
        service(f"{ECHO}-local", selector={"serves": EVIL}),
    ]


def imports(known: Mapping[str, str]) -> list[Object]:
    found = []
    for name, address, port in (
        ("svc", "127.0.0.1", 9090),
        (ECHO, known["gateway"], 15080),
        ("kubernetes", known["node"], 6443),
    ):
        target = {"host": "h", "ip": address, "port": port, "path": f"/{ECHO}"}
        endpoint = {"clusterKey": "default/default/default/cluster-3", "target": target}
        ports = [{"port": 80, "endpoints": [endpoint]}]
        labels = {"labels": {"app.kubernetes.io/managed-by": "multicluster-hub"}}
        found.append(made(FLOMESH, "ServiceImport", EVIL, name, metadata=labels, spec={"ports": ports}))
    return found


def policies(_: Mapping[str, str]) -> list[Object]:
    target = {"clusterKey": "default/default/default/cluster-3", "weight": 1}
    every = {"multicluster.flomesh.io/every-caller": "true"}
    return [
        made(
            FLOMESH,
            "GlobalTrafficPolicy",
            EVIL,
            name,
            metadata={"annotations": every},
            spec={"lbType": kind, "targets": [target]},
        )
        for name, kind in ((EVIL, "Locality"), (ECHO, "ActiveActive"), ("nobody", "FailOver"), (GOOD, "None"))
    ]


TURNS: tuple[Callable[[Mapping[str, str]], list[Object]], ...] = (
    others_paths, rewrites, many, large, others_pods, marks, imports, policies,
)  # fmt: skip
"""In this order; after each two all is deleted."""


class Tenant:
    """Takes the turns until told to stop. `known`: addresses a tenant can find out."""

    def __init__(self, kubeconfig: Path, env: Mapping[str, str], known: Mapping[str, str]) -> None:
        self._kubeconfig, self._env, self._known = kubeconfig, env, known
        self._stop = threading.Event()
        self.done: Counter[str] = Counter()
        """Objects by turn and by what the API server said."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(CALL_SECONDS * 2)

    def _run(self) -> None:
        for number in itertools.count():
            turn = TURNS[number % len(TURNS)]
            items = turn(self._known)
            applied, refused = self._kubectl(
                "apply", "--server-side", "--force-conflicts", "-f", "-",
                stdin=json.dumps({"kind": "List", "apiVersion": "v1", "items": items}),
            )  # fmt: skip
            self.done[f"{turn.__name__}: taken"] += applied
            self.done[f"{turn.__name__}: refused"] += refused
            if self._stop.wait(PAUSE):
                return
            if number % 2:
                self._kubectl("delete", KINDS, "-l", "app=soak", "--wait=false")
                if self._stop.wait(PAUSE):
                    return

    def _kubectl(self, *arguments: str, stdin: str = "") -> tuple[int, int]:
        """Lines on standard output and on standard error."""
        argv = ["kubectl", "--kubeconfig", str(self._kubeconfig), "-n", EVIL, *arguments]
        started = time.monotonic()
        try:
            done = subprocess.run(
                argv, env={**os.environ, **self._env}, input=stdin, capture_output=True, text=True,
                check=False,                timeout=CALL_SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            self.done[f"{arguments[0]}: longer than {CALL_SECONDS} s"] += 1
            return 0, 0
        self.done["longest call in ms"] = max(
            self.done["longest call in ms"], round(1000 * (time.monotonic() - started))
        )
        return len(done.stdout.splitlines()), len(done.stderr.splitlines())
