"""Real servers, and in front of them two gateways as two clusters have them, as processes of this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from tests.harness.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
PATIENCE = 60.0
"""Seconds until a server listens, on a busy machine."""
EXPORTER, IMPORTER = "default/default/default/exporter", "default/default/default/importer"

NGINX = """
daemon off; pid {folder}/nginx.pid; error_log stderr; worker_processes 1; events {{}}
http {{
  access_log off; default_type "text/plain; charset=utf-8"; client_max_body_size 100m;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port}; root {folder};
    location = /hello {{ add_header X-App 1; add_header Set-Cookie a=1; add_header Set-Cookie "b=2; Path=/";
                         return 200 hello; }}
    location = /empty {{ return 204; }}
    location = /same {{ add_header ETag '"x"'; return 304; }}
    location = /moved {{ return 302 /hello; }}
    location = /broken {{ return 503 broken; }}
    location = /chunks {{ ssi on; ssi_types *; try_files /large =500; }}
    location = /slow {{ limit_rate 1m; limit_rate_after 1k; try_files /part =500; }}
    location = /refuse {{ client_max_body_size 1k; proxy_pass http://127.0.0.1:{port}/hello; }}
    location /echo {{ proxy_pass http://unix:{folder}/echo; }}  # which reads the body first
  }}
  server {{
    listen unix:{folder}/echo; default_type application/json;
    return 200 '{{"method": "$request_method", "target": "$request_uri", "type": "$content_type"}}';
  }}
}}
"""


class Running:
    """Processes, ended with the block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def start(self, name: str, argv: Sequence[str], port: int, env: Mapping[str, str] | None = None) -> Path:
        """Start it and wait until it listens; its standard output is the file that is returned."""
        out = self.folder / f"{name}.out"
        with out.open("wb") as output, (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                argv, stdout=output, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})}
            )
        self._stack.callback(_end, process)
        deadline = time.monotonic() + PATIENCE
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} does not listen: {(self.folder / f'{name}.log').read_text()}")
            time.sleep(0.05)
        return out


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


Start = Callable[[int, Path], list[str]]


def servers(nginx: str, node: str, go: Path) -> dict[str, Start]:
    """Each server's command, for a port and a folder of its own."""
    python = [sys.executable, "-m"]
    gunicorn = [*python, "gunicorn", "--worker-class", "gthread", "--threads", "8", "--no-control-socket"]

    def with_nginx(port: int, folder: Path) -> list[str]:
        (folder / "large").write_bytes(b"0123456789abcdef" * 262_144)
        (folder / "part").write_bytes(b"x" * 400_000)
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
        return [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf")]

    return {
        "nginx": with_nginx,
        "gunicorn": lambda port, _: [*gunicorn, "-b", f"127.0.0.1:{port}", "interop.python_servers:wsgi"],
        "uvicorn": lambda port, _: [
            *python, "uvicorn", "--port", str(port), "--no-access-log", "interop.python_servers:asgi",
        ],
        "node": lambda port, _: [node, str(HERE / "node.mjs"), "server", str(port)],
        "go": lambda port, _: [str(go), "server", str(port)],
    }  # fmt: skip


def clients(node: str, go: Path) -> dict[str, list[str]]:
    """Each client's command, but for the address it asks."""
    python = [sys.executable, str(HERE / "python_clients.py")]
    return {
        **{name: [*python, name] for name in ("curl", "http.client", "requests", "httpx", "aiohttp")},
        "node http": [node, str(HERE / "node.mjs"), "http"],
        "node fetch": [node, str(HERE / "node.mjs"), "fetch"],
        "go": [str(go), "client"],
    }


def gateways(running: Running, behind: Mapping[str, int]) -> tuple[dict[str, int], list[Path]]:
    """Two gateways, one that exports these servers and one that imports them. Ports by server at which the
    importer leads there, and both access logs."""
    listed = list(behind)
    north_south, east_west, admin, *by_service = free_ports(3 + len(listed))
    exports = [part for name, port in behind.items() for part in _exported(name, port)]
    ports = dict(zip(listed, by_service, strict=True))
    imports = [part for name, port in ports.items() for part in _imported(name, port, north_south)]
    logs = []
    for name, objects, options in (
        (EXPORTER, exports, ["--listen", f"127.0.0.1:{north_south}"]),
        (
            IMPORTER,
            imports,
            ["--listen", f"127.0.0.1:{admin}", "--east-west", f"127.0.0.1:{east_west}",
             "--service-ports", f"{by_service[0]}-{by_service[-1]}"],
        ),
    ):  # fmt: skip
        file = running.folder / f"{name.rpartition('/')[2]}.json"
        file.write_text(json.dumps({"kind": "List", "items": objects}))
        argv = [sys.executable, "-m", "gateway", "serve", "--objects", str(file), "--cluster-key", name]
        port = north_south if name == EXPORTER else by_service[-1]
        logs.append(running.start(file.stem, [*argv, *options], port, {"PYTHONPATH": str(ROOT / "proxy")}))
    return ports, logs


def _metadata(name: str, **labels: str) -> dict[str, Any]:
    prefixes = {"service_name": "kubernetes.io/service-name", "service": "multicluster.flomesh.io/service",
                "managed_by": "endpointslice.kubernetes.io/managed-by"}  # fmt: skip
    return {
        "name": name,
        "namespace": "demo",
        "labels": {prefixes[label]: of for label, of in labels.items()},
    }


def _exported(name: str, port: int) -> list[dict[str, Any]]:
    rule = {"path": f"/{name}", "pathType": "Prefix", "portNumber": 80}
    rewrite = {"from": f"^/{name}/?", "to": "/"}
    endpoints = [{"addresses": ["127.0.0.1"]}]
    return [
        {"kind": "Service", "metadata": _metadata(name), "spec": {"ports": [{"port": 80}]}},
        {
            "kind": "EndpointSlice", "metadata": _metadata(name, service_name=name), "addressType": "IPv4",
            "endpoints": endpoints, "ports": [{"port": port}],
        },
        {
            "kind": "ServiceExport", "metadata": _metadata(name),
            "spec": {"rules": [rule], "pathRewrite": rewrite},
        },
    ]  # fmt: skip


def _imported(name: str, port: int, exporter: int) -> list[dict[str, Any]]:
    target = {"ip": "127.0.0.1", "port": exporter, "path": f"/{name}"}
    labels = {"service_name": name, "service": name, "managed_by": "multicluster-gateway"}
    annotations = {"multicluster.flomesh.io/service-ports": json.dumps({str(port): 80})}
    return [
        {
            "kind": "ServiceImport", "metadata": _metadata(name),
            "spec": {"ports": [{"port": 80, "endpoints": [{"clusterKey": EXPORTER, "target": target}]}]},
        },
        {
            "kind": "GlobalTrafficPolicy", "metadata": _metadata(name),
            "spec": {"lbType": "Locality", "targets": [{"clusterKey": EXPORTER}]},
        },
        {
            "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": [], "ports": [{"port": port}],
            "metadata": {**_metadata(f"{name}-imported", **labels), "annotations": annotations},
        },
    ]  # fmt: skip
