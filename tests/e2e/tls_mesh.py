"""An environment of its own for mutual TLS: a control plane, a cluster that exports and one that calls."""

from __future__ import annotations

import json
import subprocess
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from e2e.commands import ROOT, engine_environment, stack
from e2e.load import Kubectl, gateway_image, kubeconfigs

ENVIRONMENT = "e2e-tls"
FILE = ROOT / f"Pulumi.{ENVIRONMENT}.yaml"
# Clear of every other environment here.
SUBNET, GATEWAY = "172.24.0.0/16", "172.24.0.1"
HUB, EAST, WEST = "tls-hub", "tls-east", "tls-west"
NODE_PORT, PEERS_NODE_PORT = 30080, 30443
SERVICE = "shop/echo"
PORT = 80
SYSTEM = ("-n", "multicluster-system")
SHOP = ("-n", "shop")
APP = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        caller = self.headers.get("X-Gateway-Client-Cluster") or "nobody"
        text = b"from cluster: " + sys.argv[1].encode() + b" caller: " + caller.encode() + b" " + body
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET

    def log_message(self, *_):
        pass

ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer(("", 3000), Echo).serve_forever()
"""


def key(name: str) -> str:
    return f"default/default/default/{name}"


def http_port(name: str) -> int:
    return 8744 + (HUB, EAST, WEST).index(name)


def peers_port(name: str) -> int:
    return 8844 + (HUB, EAST, WEST).index(name)


def settings(mode: str) -> dict[str, Any]:
    """The file of the environment with this `gateway.mutualTls`."""
    clusters = [
        {
            "name": name,
            "role": "control-plane" if name == HUB else "member",
            "apiPort": 6744 + number,
            "httpPort": http_port(name),
            **({} if name == HUB else {"peersPort": peers_port(name), "dapr": "none"}),
        }
        for number, name in enumerate((HUB, EAST, WEST))
    ]
    exports = [
        {
            "service": name,
            "namespace": "shop",
            "clusters": [EAST],
            "rules": [{"portNumber": PORT, "path": f"/{name}"}],
            "pathRewrite": {"from": f"^/{name}/?", "to": "/"},
            **({"targetClusters": [key(HUB)]} if name == "other" else {}),
        }
        for name in ("echo", "other")
    ]
    policy = {"cluster": WEST, "namespace": "shop", "name": "echo", "lbType": "ActiveActive"}
    config = {
        "network": {"name": ENVIRONMENT, "subnet": SUBNET},
        "clusters": clusters,
        "redis": {"mode": "none"},
        "gateway": {"mutualTls": mode},
        "exports": exports,
        "policies": [{**policy, "targets": [{"cluster": EAST}]}],
    }
    return {
        "config": {
            "pulumi:disable-default-providers": ["*"],
            **{f"multicluster-dapr:{name}": value for name, value in config.items()},
        }
    }


def eventually(check: Callable[[], bool], what: str, seconds: float = 240.0) -> float:
    """Seconds until it holds."""
    started = time.monotonic()
    while not check():
        assert time.monotonic() - started < seconds, f"not within {seconds:g} s: {what}"
        time.sleep(0.5)
    return round(time.monotonic() - started, 1)


class TlsMesh:
    """The environment, and what a test does to it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.env: dict[str, str] = {}
        self.clusters: dict[str, Kubectl] = {}
        self.image = ""

    def up(self, mode: str) -> None:
        FILE.write_text(yaml.safe_dump(settings(mode)))
        stack("up", ENVIRONMENT)
        if not self.clusters:
            self.env = engine_environment(ENVIRONMENT)
            self.clusters = kubeconfigs(self.env, self._folder)
            self.image = gateway_image(self.clusters[HUB])
            self._deploy()

    def _deploy(self) -> None:
        """The app in the cluster that exports, under two names; a pod to ask from in the one that calls."""
        app = self._pod("echo", ["python", "-c", APP, EAST])
        app["spec"]["containers"][0]["readinessProbe"] = {"tcpSocket": {"port": 3000}, "periodSeconds": 1}
        services = [
            {
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
                "spec": {"selector": {"app": "echo"}, "ports": [{"port": PORT, "targetPort": 3000}]},
            }
            for name in ("echo", "other")
        ]  # fmt: skip
        self.clusters[EAST](*SHOP, "apply", "-f", "-", stdin=json.dumps(_list(app, *services)))
        asker = self._pod("asker", ["python", "-c", "import time; time.sleep(3600)"])
        self.clusters[WEST]("apply", "-f", "-", stdin=json.dumps(asker))
        self.clusters[EAST](*SHOP, "wait", "pod/echo", "--for=condition=Ready", "--timeout=120s")
        self.clusters[WEST]("wait", "pod/asker", "--for=condition=Ready", "--timeout=120s")

    def _pod(self, name: str, command: list[str]) -> dict[str, Any]:
        container = {"name": name, "image": self.image, "imagePullPolicy": "IfNotPresent", "command": command}
        spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
        metadata = {"name": name, "labels": {"app": name}}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def post(self, body: str) -> str:
        """What a pod of the calling cluster is answered by the Service's name."""
        script = (
            "import sys, urllib.request as r; "
            "print(r.urlopen(r.Request(sys.argv[1], sys.argv[2].encode()), timeout=20).read().decode())"
        )
        url = f"http://echo.shop:{PORT}/marked"
        return self.clusters[WEST]("exec", "asker", "--", "python", "-c", script, url, body)

    def page(self, name: str) -> dict[str, Any]:
        """What the gateway of a cluster tells of mutual TLS; nothing while none is ready."""
        return dict(json.loads(self.admin(name, "peers") or "{}"))

    def admin(self, name: str, page: str) -> str:
        """An admin page of the gateway of a cluster; nothing while none is ready."""
        kubectl = self.clusters[name]
        pods = json.loads(kubectl(*SYSTEM, "get", "pods", "-l", "app=gateway", "-o", "json"))["items"]
        for pod in pods:
            if not pod["metadata"].get("deletionTimestamp"):
                where = f"/api/v1/namespaces/{SYSTEM[1]}/pods/{pod['metadata']['name']}:9090/proxy/{page}"
                done = subprocess.run(
                    kubectl.argv("get", "--raw", where), env=self.env, capture_output=True, text=True,
                    check=False,
                )  # fmt: skip
                return done.stdout if done.returncode == 0 else ""
        return ""

    def asks_over_tls(self, caller: str, callee: str) -> bool:
        return key(callee) in self.page(caller).get("gateways", {})

    def addresses(self, name: str) -> list[str]:
        """Where other clusters' gateways listen for those of this one, as its Peers say."""
        peers = json.loads(self.clusters[name]("get", "peers.flomesh.io", "-o", "json"))["items"]
        return [peer["spec"]["gateway"]["ip"] for peer in peers if "gateway" in peer["spec"]]

    def bring_ca(self, name: str, certificate: bytes, private: bytes) -> None:
        """A CA of the user's for a cluster, as cert-manager keeps one."""
        secret = {
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": "gateway-own-ca"},
            "stringData": {"tls.crt": certificate.decode(), "tls.key": private.decode()},
        }  # fmt: skip
        self.clusters[name](*SYSTEM, "apply", "-f", "-", stdin=json.dumps(secret))

    def secret(self, name: str, secret: str) -> dict[str, bytes]:
        found = json.loads(self.clusters[name](*SYSTEM, "get", "secret", secret, "-o", "json"))
        return {entry: b64decode(value) for entry, value in found["data"].items()}


@contextmanager
def tls_mesh(folder: Path, mode: str) -> Iterator[TlsMesh]:
    """The environment with this `gateway.mutualTls` to begin with, as long as the block lasts."""
    made = TlsMesh(folder)
    try:
        made.up(mode)
        yield made
    finally:
        stack("destroy", ENVIRONMENT, "--yes")
        FILE.unlink()


def _list(*objects: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": list(objects)}
