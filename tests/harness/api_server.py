"""A Kubernetes API server on loopback without nodes: etcd, kube-apiserver and, if wanted, the controllers.

All are in the one binary that ./stack builds. Pods stay Pending, everything else is real.
`python -m tests.harness.api_server FOLDER` runs one until it is interrupted.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from tests.harness.ports import free_ports

START_SECONDS = 150.0
POLL_SECONDS = 0.2
BUSY_ANSWERS = 50
"""Requests in a row that a server that has just started may answer with 429, Too Many Requests."""
TOKEN = "test-token"
CRDS = Path(__file__).parents[2] / "proxy" / "crds"
CONTENT_TYPES = {
    "json": "application/json",
    "apply": "application/apply-patch+yaml",
    "merge": "application/merge-patch+json",
}

Rule = tuple[list[str], list[str], list[str]]
"""API groups, resources and verbs of a rule of RBAC."""


class NoBinaryError(Exception):
    """The kube binary that ./stack builds is not there."""


def kube_binary() -> str:
    """Path of the binary with all of Kubernetes: on PATH, or in the cache of ./stack."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "multicluster-dapr" / "tools"
    found = shutil.which("kube") or next((str(path) for path in sorted(cache.glob("*/kube"))), None)
    if found is None:
        raise NoBinaryError("no `kube` on PATH nor in the cache: `./stack up --supply airgap` builds it")
    return found


class ApiServer:
    """One Kubernetes API with its etcd, in a folder of its own. `stop` and `start` keep the data.

    With `controllers` the controller manager runs as well: ServiceAccounts, tokens, garbage collection.
    """

    def __init__(self, folder: Path, *, controllers: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._controllers = controllers
        self._binary = kube_binary()
        self._api, self._etcd, self._peer = free_ports(3)
        self._tokens: dict[str, str] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        key = subprocess.run(["openssl", "genrsa", "2048"], check=True, capture_output=True)
        (folder / "sa.key").write_bytes(key.stdout)
        (folder / "tokens.csv").write_text(f"{TOKEN},admin,admin,system:masters\n")

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._api}"

    @property
    def kubeconfig(self) -> Path:
        """A file with full rights, there from the first start on."""
        return self.folder / "kubeconfig"

    def kubeconfig_with(self, token: str) -> str:
        """A kubeconfig, as text, for whom this token names."""
        authority = base64.b64encode((self.folder / "certs" / "apiserver.crt").read_bytes()).decode()
        cluster = {"server": self.url, "certificate-authority-data": authority}
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "default",
                "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}],
                "clusters": [{"name": "default", "cluster": cluster}],
                "users": [{"name": "default", "user": {"token": token}}],
            }
        )

    def start(self) -> None:
        """Start everything, and wait until the API server is ready."""
        client, peer = (f"http://127.0.0.1:{port}" for port in (self._etcd, self._peer))
        flags = {
            "data-dir": self.folder / "etcd", "listen-client-urls": client, "advertise-client-urls": client,
            "listen-peer-urls": peer, "unsafe-no-fsync": "true",
        }  # fmt: skip
        self._run("etcd", flags)
        self.start_api()
        if self._controllers:
            controller_flags = {
                "kubeconfig": self.kubeconfig, "leader-elect": "false", "secure-port": 0,
                "service-account-private-key-file": self.folder / "sa.key",
                "root-ca-file": self.folder / "certs" / "apiserver.crt",
            }  # fmt: skip
            self._run("kube-controller-manager", controller_flags)

    def start_api(self) -> None:
        """Start the API server alone, of which `stop_api` has ended the last one."""
        key = self.folder / "sa.key"
        flags = {
            "etcd-servers": f"http://127.0.0.1:{self._etcd}", "secure-port": self._api,
            "bind-address": "127.0.0.1", "cert-dir": self.folder / "certs",  # it signs its certificate itself
            "token-auth-file": self.folder / "tokens.csv",
            "service-account-key-file": key, "service-account-signing-key-file": key,
            "service-account-issuer": "https://kubernetes.default.svc", "authorization-mode": "RBAC",
            "service-cluster-ip-range": "10.96.0.0/16",
        }  # fmt: skip
        if not self._controllers:  # which make the ServiceAccount that each pod gets
            flags["disable-admission-plugins"] = "ServiceAccount"
        self._run("kube-apiserver", flags)
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            for program, process in self._processes.items():
                if process.poll() is not None:
                    raise RuntimeError(f"{program} ended; its log is in {self.folder}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"no API server after {START_SECONDS:.0f} s; logs are in {self.folder}")
            time.sleep(POLL_SECONDS)
        self.kubeconfig.write_text(self.kubeconfig_with(TOKEN))

    def _ready(self) -> bool:
        # /readyz turns true with RBAC's own roles in place; the namespace is made right after.
        with suppress(OSError):
            self.call("GET", "/readyz")
            self.call("GET", "/api/v1/namespaces/default")
            return True
        return False

    def stop_api(self) -> None:
        """End the API server, and leave the rest as it is."""
        process = self._processes.pop("kube-apiserver")
        process.kill()
        process.wait()

    def stop(self) -> None:
        """End all processes, not politely: what they hold goes with them."""
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
        self._processes.clear()

    def _run(self, program: str, flags: Mapping[str, Any]) -> None:
        # Ends when we do, however that is: a killed test leaves no server behind.
        argv = ["setpriv", "--pdeathsig", "KILL", self._binary, program]
        argv += [f"--{name}={value}" for name, value in flags.items()]
        with (self.folder / f"{program}.log").open("ab") as log:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._processes[program] = process

    def call(self, method: str, path: str, body: Any = None, *, content: str = "json") -> Any:
        """One request with full rights; the decoded answer. HTTPError for refusals."""
        context = ssl._create_unverified_context()  # noqa: S323  its certificate is a minute old
        request = urllib.request.Request(  # noqa: S310
            self.url + path, method=method, data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": CONTENT_TYPES[content]},
        )  # fmt: skip
        for _ in range(BUSY_ANSWERS):
            try:
                with urllib.request.urlopen(request, context=context, timeout=20) as answer:  # noqa: S310
                    text = answer.read()
            except urllib.error.HTTPError as error:
                if error.code != 429:
                    raise
                time.sleep(POLL_SECONDS)
            else:
                return json.loads(text) if text[:1] == b"{" else text.decode()
        raise TimeoutError(f"{path} is answered 429 all the time")

    def account(self, name: str, *rules: Rule) -> str:
        """Token of a ServiceAccount in multicluster-system that may do this."""
        if name not in self._tokens:
            self.kubectl("apply", "-f", "-", stdin=json.dumps(_account(name, rules)))
            path = f"/api/v1/namespaces/multicluster-system/serviceaccounts/{name}/token"
            self._tokens[name] = str(self.call("POST", path, {"spec": {}})["status"]["token"])
        return self._tokens[name]

    def kubectl(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        """What kubectl prints, errors included."""
        argv = [self._binary, "kubectl", f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, timeout=180)
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout + done.stderr

    def install_crds(self) -> None:
        """Install our CRDs, and wait until they are established."""
        self.kubectl("apply", "-f", str(CRDS))
        self.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRDS))


def _account(name: str, rules: Iterable[Rule]) -> dict[str, Any]:
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


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the processes are ended as well
    with suppress(KeyboardInterrupt), ApiServer(Path(sys.argv[1]), controllers=True) as api_server:
        print(api_server.kubeconfig, flush=True)
        signal.pause()
