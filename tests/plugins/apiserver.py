"""A real Kubernetes API server on loopback, without nodes: etcd, kube-apiserver and kube-controller-manager.

Pods stay Pending, everything else is real. `python tests/plugins/apiserver.py DIR`
runs one until interrupted.
"""

import base64
import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

_START_SECONDS = 60.0
_TOKEN = "test-token"


class NoBinaryError(Exception):
    """The kube binary that ./stack builds is not there."""


def kube_binary() -> str:
    """The one Kubernetes binary: on PATH, or in the cache of ./stack."""
    found = shutil.which("kube")
    if found:
        return found
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "multicluster-dapr" / "tools"
    for path in sorted(cache.glob("*/kube")):
        return str(path)
    raise NoBinaryError("no `kube` on PATH nor in the cache: run ./stack up once")


@dataclass
class ApiServer:
    """A running API server and how to reach it."""

    folder: Path
    url: str
    kubeconfig: str
    processes: list[subprocess.Popen[bytes]]

    def stop(self) -> None:
        """End all processes, not politely: what they hold goes with them."""
        for process in reversed(self.processes):
            process.kill()
        for process in self.processes:
            process.wait()


def start(folder: Path, *, controllers: bool = True) -> ApiServer:
    """Start everything in `folder` and wait until the API server is ready."""
    binary = kube_binary()
    folder.mkdir(parents=True, exist_ok=True)
    etcd, peer, api = free_ports(3)
    (folder / "tokens.csv").write_text(f"{_TOKEN},admin,admin,system:masters\n")
    certificates = folder / "pki"
    keys = [binary, "kubeadm", "init", "phase", "certs", "sa", "--cert-dir", str(certificates)]
    subprocess.run(keys, check=True, capture_output=True)
    server = ApiServer(folder, f"https://127.0.0.1:{api}", "", [])
    try:
        _spawn(
            server,
            [
                binary,
                "etcd",
                f"--data-dir={folder / 'etcd'}",
                f"--listen-client-urls=http://127.0.0.1:{etcd}",
                f"--advertise-client-urls=http://127.0.0.1:{etcd}",
                f"--listen-peer-urls=http://127.0.0.1:{peer}",
                f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
                f"--initial-cluster=default=http://127.0.0.1:{peer}",
                "--unsafe-no-fsync",
            ],
        )
        _spawn(
            server,
            [
                binary,
                "kube-apiserver",
                f"--etcd-servers=http://127.0.0.1:{etcd}",
                "--bind-address=127.0.0.1",
                f"--secure-port={api}",
                f"--token-auth-file={folder / 'tokens.csv'}",
                "--authorization-mode=RBAC",
                f"--cert-dir={certificates}",  # it signs a certificate for itself there
                f"--service-account-key-file={certificates / 'sa.pub'}",
                f"--service-account-signing-key-file={certificates / 'sa.key'}",
                "--service-account-issuer=https://kubernetes.default.svc",
                "--service-cluster-ip-range=10.96.0.0/16",
            ],
        )
        _wait_ready(server)
        server.kubeconfig = _kubeconfig(server.url, (certificates / "apiserver.crt").read_bytes())
        (folder / "kubeconfig").write_text(server.kubeconfig)
        if controllers:
            _spawn(
                server,
                [
                    binary,
                    "kube-controller-manager",
                    f"--kubeconfig={folder / 'kubeconfig'}",
                    f"--service-account-private-key-file={certificates / 'sa.key'}",
                    f"--root-ca-file={certificates / 'apiserver.crt'}",
                    "--leader-elect=false",
                    "--secure-port=0",
                ],
            )
    except BaseException:
        server.stop()
        raise
    return server


@contextlib.contextmanager
def running(folder: Path) -> Iterator[ApiServer]:
    """An API server for the time of a `with` block."""
    server = start(folder)
    try:
        yield server
    finally:
        server.stop()


def _spawn(server: ApiServer, argv: list[str]) -> None:
    log = (server.folder / f"{argv[1]}.log").open("wb")
    with log:
        server.processes.append(subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL))


def _kubeconfig(url: str, authority: bytes) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "default",
            "clusters": [
                {
                    "name": "default",
                    "cluster": {
                        "server": url,
                        "certificate-authority-data": base64.b64encode(authority).decode(),
                    },
                }
            ],
            "users": [{"name": "default", "user": {"token": _TOKEN}}],
            "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}],
        }
    )


def _wait_ready(server: ApiServer) -> None:
    # Only waits: the certificate to trust is not written yet.
    context = ssl._create_unverified_context()  # noqa: S323
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        for process in server.processes:
            if process.poll() is not None:
                raise RuntimeError(f"{process.args[1]} ended; its log is in {server.folder}")  # type: ignore[index]
        headers = {"Authorization": f"Bearer {_TOKEN}"}
        request = urllib.request.Request(f"{server.url}/readyz", headers=headers)  # noqa: S310
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(  # noqa: S310
                request, context=context, timeout=2
            ) as response,
        ):
            if response.status == 200:
                return
        time.sleep(0.2)
    raise RuntimeError(f"the API server was not ready in {_START_SECONDS:.0f} s; logs are in {server.folder}")


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nothing listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the processes are ended as well
    with contextlib.suppress(KeyboardInterrupt), running(Path(sys.argv[1])) as api_server:
        print(api_server.folder / "kubeconfig", flush=True)
        signal.pause()
