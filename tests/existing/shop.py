"""What the people of namespace `shop` have in their clusters: a service of two versions, and its chart.

Their own image, their own manifests: nothing here comes from the program under test.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from e2e.load import Kubectl

from existing import clusters as theirs

IMAGE = f"127.0.0.1:{theirs.REGISTRY_PORT}/shop/checkout:1"
PORT, ADMIN_PORT = 80, 9000
SERVER = """
import os, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Checkout(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        who = f"by {os.environ['VERSION']} of {os.environ['WHERE']}"
        body = f"{self.path} on {self.server.server_port} {who}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

admin = ThreadingHTTPServer(("", 9000), Checkout)
threading.Thread(target=admin.serve_forever, daemon=True).start()
ThreadingHTTPServer(("", 8080), Checkout).serve_forever()
"""
ASK_MANY = """
import collections, http.client, json, sys
host, port, path, times, fields = json.loads(sys.argv[1])
said, connection = collections.Counter(), http.client.HTTPConnection(host, port, timeout=20)
for _ in range(times):
    try:
        connection.request("GET", path, headers=fields)
        answer = connection.getresponse()
        said[f"{answer.status} {answer.read().decode()}"] += 1
    except OSError as error:
        connection.close()
        said[type(error).__name__] += 1
print(json.dumps(said))
"""


def build(machine: theirs.Machine) -> None:
    """Their image, in the registry."""
    folder = machine.folder / "checkout"
    folder.mkdir(exist_ok=True)
    supply = machine.supply
    base = supply["images"]["python"]["ref"] if supply else "docker.io/library/python:3.11-slim"
    (folder / "server.py").write_text(SERVER)
    (folder / "Dockerfile").write_text(
        f'FROM {base}\nCOPY server.py /server.py\nENTRYPOINT ["python3", "/server.py"]\n'
    )
    machine.run("docker", "build", "--network=host", f"--tag={IMAGE}", str(folder))
    machine.run("docker", "push", IMAGE)


def deployment(name: str, *, version: str, where: str) -> dict[str, Any]:
    """Their Deployment of one version."""
    labels = {"app": name}
    container = {
        "name": "checkout",
        "image": IMAGE,
        "env": [{"name": "VERSION", "value": version}, {"name": "WHERE", "value": where}],
        # Patient: on a busy node an application that is slow to answer would be one that is not ready.
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "timeoutSeconds": 10},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def service(name: str) -> dict[str, Any]:
    """Their Service, with two ports."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "selector": {"app": name},
            "ports": [
                {"name": "http", "port": PORT, "targetPort": 8080},
                {"name": "admin", "port": ADMIN_PORT, "targetPort": 9000},
            ],
        },
    }


def deploy(kubectl: Kubectl, name: str, *, version: str, where: str) -> None:
    """Apply both, and wait until its pod is ready."""
    objects = [deployment(name, version=version, where=where), service(name)]
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))
    kubectl("-n", "shop", "rollout", "status", f"deployment/{name}", "--timeout=120s")


def write_chart(folder: Path, *, where: str) -> Path:
    """A Helm chart of the same app, as it is installed in another cluster."""
    chart = folder / "checkout-chart"
    (chart / "templates").mkdir(parents=True, exist_ok=True)
    (chart / "Chart.yaml").write_text(
        yaml.safe_dump({"apiVersion": "v2", "name": "checkout", "version": "1.0.0"})
    )
    (chart / "templates" / "all.yaml").write_text(
        yaml.safe_dump_all([deployment("checkout", version="1", where=where), service("checkout")])
    )
    return chart


def ask(
    kubectl: Kubectl,
    host: str,
    path: str = "/",
    *,
    port: int = PORT,
    times: int = 1,
    fields: dict[str, str] | None = None,
) -> Counter[str]:
    """Answers, each `status body` or the name of an error, to so many requests from a pod of theirs."""
    asked = json.dumps([host, port, path, times, fields or {}])
    where = ("-n", "shop", "exec", "deployment/client", "--", "python3", "-c", ASK_MANY)
    return Counter(json.loads(kubectl(*where, asked)))
