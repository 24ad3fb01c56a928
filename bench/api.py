"""A Kubernetes API server of our own on loopback: etcd and kube-apiserver from the binary ./stack builds."""

from __future__ import annotations

import json
import secrets
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from bench.programs import BenchError, find, tied
from bench.setting import free_port

START_SECONDS = 150.0
POLL_SECONDS = 0.2
KINDS = {"json": "application/json", "merge": "application/merge-patch+json"}


def kube_binary(cache: Path) -> str:
    """Path of the one binary with all of Kubernetes. BenchError when ./stack has not built it."""
    found = find("kube") or next((str(path) for path in sorted(cache.glob("tools/*/kube"))), None)
    if found is None:
        raise BenchError(
            "no API server: its binary is built by `./stack up --supply airgap`, then run this again"
        )
    return found


class ApiServer:
    """Answers from `start` to `stop`; everything lies in `folder`."""

    def __init__(self, binary: str, folder: Path) -> None:
        self._binary, self._folder = binary, folder
        self._token = secrets.token_hex(16)
        self._port, self._etcd, self._peer = free_port(), free_port(), free_port()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._context = ssl._create_unverified_context()  # noqa: S323  its certificate is a minute old

    @property
    def kubeconfig(self) -> str:
        cluster = {"server": f"https://127.0.0.1:{self._port}", "insecure-skip-tls-verify": True}
        return json.dumps({
            "current-context": "bench",
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
            "clusters": [{"name": "bench", "cluster": cluster}],
            "users": [{"name": "bench", "user": {"token": self._token}}],
        })  # fmt: skip

    def start(self, crds: Path) -> None:
        """Until it is ready, with our kinds in it."""
        key = self._folder / "sa.key"
        made = subprocess.run(["openssl", "genrsa", "2048"], check=True, capture_output=True)
        key.write_bytes(made.stdout)
        (self._folder / "tokens.csv").write_text(f"{self._token},bench,bench,system:masters\n")
        etcd, peer = f"http://127.0.0.1:{self._etcd}", f"http://127.0.0.1:{self._peer}"
        self._run("etcd", {
            "data-dir": self._folder / "etcd", "listen-client-urls": etcd, "advertise-client-urls": etcd,
            "listen-peer-urls": peer, "unsafe-no-fsync": "true",
        })  # fmt: skip
        self._run("kube-apiserver", {
            "etcd-servers": etcd, "secure-port": self._port, "bind-address": "127.0.0.1",
            "cert-dir": self._folder / "certs", "token-auth-file": self._folder / "tokens.csv",
            "service-account-key-file": key, "service-account-signing-key-file": key,
            "service-account-issuer": "https://bench", "authorization-mode": "RBAC",
            "service-cluster-ip-range": "10.0.0.0/24", "disable-admission-plugins": "ServiceAccount",
        })  # fmt: skip
        self._await_ready()
        self._kubectl("apply", "-f", str(crds))
        self._kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(crds))

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def call(self, method: str, path: str, body: Any = None, content: str = "json") -> Any:
        """One request with full rights; the decoded answer. URLError and HTTPError for what goes wrong."""
        request = urllib.request.Request(
            f"https://127.0.0.1:{self._port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": KINDS[content]},
        )
        with urllib.request.urlopen(request, context=self._context, timeout=20) as answer:  # noqa: S310
            text = answer.read()
        return json.loads(text) if text[:1] == b"{" else text.decode()

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.call("GET", "/readyz")
                self.call("GET", "/api/v1/namespaces/default")
            except OSError as error:
                if time.monotonic() > deadline or any(
                    process.poll() is not None for process in self._processes
                ):
                    raise BenchError(f"the API server does not get ready: {error}") from error
                time.sleep(POLL_SECONDS)
            else:
                return

    def _run(self, program: str, flags: dict[str, Any]) -> None:
        argv = [self._binary, program, *(f"--{name}={value}" for name, value in flags.items())]
        with (self._folder / f"{program}.log").open("wb") as log:
            self._processes.append(subprocess.Popen(tied(argv), stdout=log, stderr=log))

    def _kubectl(self, *arguments: str) -> None:
        (self._folder / "kubeconfig").write_text(self.kubeconfig)
        argv = [self._binary, "kubectl", f"--kubeconfig={self._folder / 'kubeconfig'}", *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f"kubectl {' '.join(arguments)}: {done.stderr}")
