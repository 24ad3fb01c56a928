"""Real API servers for the e2e tests: etcd and kube-apiserver from the one binary, on loopback."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

TOKEN = "test-token"
START_SECONDS = 150.0
CRDS = Path(__file__).parents[3] / "proxy" / "crds"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def kube_binary() -> str | None:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "multicluster-dapr" / "tools"
    return shutil.which("kube") or next((str(path) for path in sorted(cache.glob("*/kube"))), None)


class ApiServer:
    """One Kubernetes API with its etcd, in a folder of its own. `stop` and `start` keep the data."""

    def __init__(self, binary: str, folder: Path) -> None:
        folder.mkdir()
        self._binary, self._folder = binary, folder
        self._ports = [free_port() for _ in range(3)]
        self._tokens: dict[str, str] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        key = subprocess.run(["openssl", "genrsa", "2048"], check=True, capture_output=True)
        (folder / "sa.key").write_bytes(key.stdout)
        (folder / "tokens.csv").write_text(f"{TOKEN},admin,admin,system:masters\n")

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._ports[0]}"

    @property
    def kubeconfig(self) -> str:
        return self.kubeconfig_with(TOKEN)

    def kubeconfig_with(self, token: str) -> str:
        return json.dumps(
            {
                "current-context": "it",
                "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
                "clusters": [
                    {"name": "it", "cluster": {"server": self.url, "insecure-skip-tls-verify": True}}
                ],
                "users": [{"name": "it", "user": {"token": token}}],
            }
        )

    def start(self) -> None:
        self._start_etcd()
        self.start_api()

    def _start_etcd(self) -> None:
        client, peer = (f"http://127.0.0.1:{port}" for port in self._ports[1:])
        flags = {
            "data-dir": self._folder / "etcd", "listen-client-urls": client, "advertise-client-urls": client,
            "listen-peer-urls": peer, "unsafe-no-fsync": "true",
        }  # fmt: skip
        self._run("etcd", flags)

    def start_api(self) -> None:
        key = self._folder / "sa.key"
        flags = {
            "etcd-servers": f"http://127.0.0.1:{self._ports[1]}", "secure-port": self._ports[0],
            "bind-address": "127.0.0.1", "cert-dir": self._folder / "certs",
            "token-auth-file": self._folder / "tokens.csv",
            "service-account-key-file": key, "service-account-signing-key-file": key,
            "service-account-issuer": "https://test", "authorization-mode": "RBAC",
            "service-cluster-ip-range": "10.0.0.0/24", "disable-admission-plugins": "ServiceAccount",
        }  # fmt: skip
        self._run("kube-apiserver", flags)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return self._ready()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _ready(self) -> None:
        # /readyz turns true with RBAC's own roles in place; the namespace is made right after.
        for path in ("/readyz", "/api/v1/namespaces/default"):
            self.call("GET", path, raw=True)

    def _run(self, program: str, flags: dict[str, Any]) -> None:
        argv = [self._binary, program, *(f"--{name}={value}" for name, value in flags.items())]
        with (self._folder / f"{program}.log").open("ab") as log:
            self._processes[program] = subprocess.Popen(argv, stdout=log, stderr=log)

    def stop_api(self) -> None:
        process = self._processes.pop("kube-apiserver")
        process.kill()
        process.wait()

    def stop(self) -> None:
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
        self._processes.clear()

    def call(
        self, method: str, path: str, body: Any = None, *, raw: bool = False, content: str = "json"
    ) -> Any:
        """One request with full rights; the decoded answer. HTTPError for refusals."""
        context = ssl._create_unverified_context()  # noqa: S323  a certificate made for this test
        kind = {
            "json": "application/json",
            "apply": "application/apply-patch+yaml",
            "merge": "application/merge-patch+json",
        }
        request = urllib.request.Request(  # noqa: S310
            self.url + path, method=method, data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": kind[content]},
        )  # fmt: skip
        for _ in range(50):
            try:
                with urllib.request.urlopen(request, context=context, timeout=10) as response:  # noqa: S310
                    return response.read() if raw else json.loads(response.read())
            except urllib.error.HTTPError as error:
                # A server that has just started asks for patience this way.
                if error.code != 429:
                    raise
                time.sleep(0.2)
        raise TimeoutError(f"{path} is answered 429 all the time")

    def account(self, name: str, *rules: tuple[list[str], list[str], list[str]]) -> str:
        """Token of a ServiceAccount in multicluster-system that may do this: API groups, resources, verbs."""
        if name not in self._tokens:
            self.kubectl("apply", "-f", "-", stdin=json.dumps(_account(name, rules)))
            path = f"/api/v1/namespaces/multicluster-system/serviceaccounts/{name}/token"
            self._tokens[name] = str(self.call("POST", path, {"spec": {}})["status"]["token"])
        return self._tokens[name]

    def kubectl(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        """What kubectl prints, errors included."""
        argv = [
            self._binary,
            "kubectl",
            f"--server={self.url}",
            "--insecure-skip-tls-verify",
            f"--token={TOKEN}",
        ]
        done = subprocess.run([*argv, *arguments], input=stdin, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout + done.stderr

    def install_crds(self) -> None:
        self.kubectl("apply", "-f", str(CRDS))
        self.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRDS))


def _account(name: str, rules: Iterable[tuple[list[str], list[str], list[str]]]) -> dict[str, Any]:
    rbac = {"apiGroup": "rbac.authorization.k8s.io"}
    items = [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": "multicluster-system"},
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name},
            "rules": [{"apiGroups": g, "resources": r, "verbs": v} for g, r, v in rules],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {**rbac, "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "multicluster-system"}],
        },
    ]
    return {"apiVersion": "v1", "kind": "List", "items": items}


@pytest.fixture(scope="module")
def api_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], list[ApiServer]]]:
    """Starts so many API servers with our CRDs; they live until the module is done."""
    binary = kube_binary()
    if binary is None:
        pytest.skip("no `kube` on PATH or in the cache of ./stack, which makes it")
    started: list[ApiServer] = []

    def start(count: int) -> list[ApiServer]:
        folder = tmp_path_factory.mktemp("api")
        made = [ApiServer(binary, folder / str(number)) for number in range(count)]
        started.extend(made)
        for server in made:
            server.start()
            server.install_crds()
        return made

    yield start
    for server in started:
        server.stop()
