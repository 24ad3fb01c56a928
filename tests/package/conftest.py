"""Two API servers without nodes as a program's clusters, the engine, and the package as a user gets it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import urllib.error
import venv
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import yaml
from plugins.engine import REPOSITORY, Engine

from airgap.report import Report
from airgap.tools import OF_YAML, ensure_tools
from tests.harness.api_server import ApiServer

NAMES = ("hub", "east")
SHIPPED = (
    "components", "proxy/admission", "proxy/crds", "proxy/gateway/__init__.py",
    "pyproject.toml", "MANIFEST.in", "LICENSE",
)  # fmt: skip
READY = {
    "phase": "Running",
    "conditions": [
        {"type": name, "status": "True"}
        for name in ("Initialized", "ContainersReady", "Ready", "PodScheduled")
    ],
}


class Kubelet:
    """Says of every pod of an API server without nodes that it is ready, as long as the block lasts."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kubelet")

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.3):
            with suppress(TimeoutError):  # the machine is busy: it looks again, as a kubelet does
                self._look()

    def _look(self) -> None:
        for pod in self._server.call("GET", "/api/v1/pods")["items"]:
            if pod["status"].get("phase") == "Pending":
                where = "/api/v1/namespaces/{namespace}/pods/{name}/status".format(**pod["metadata"])
                try:
                    self._server.call("PATCH", where, {"status": READY}, content="merge")
                except urllib.error.HTTPError as error:
                    if error.code != 404:
                        raise


@pytest.fixture(scope="package")
def engine(tmp_path_factory: pytest.TempPathFactory, clone: Path) -> Engine:
    """An engine that runs YAML, too, and installs the package with what is here."""
    made = Engine(tmp_path_factory.mktemp("engine"))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "multicluster-dapr"
    (host,) = ensure_tools(cache, Report(), OF_YAML).values()
    (made.folder / "tools" / host.name).symlink_to(host)
    environment(clone / ".package-venv")
    made.environment["PIP_NO_BUILD_ISOLATION"] = "0"  # which pip reads as: no isolation
    return made


@pytest.fixture(scope="package")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ApiServer]]:
    with ExitStack() as stack:
        found = {}
        for name in NAMES:
            server = ApiServer(tmp_path_factory.mktemp(name), controllers=True)
            found[name] = stack.enter_context(server)
            stack.enter_context(Kubelet(server))
        yield found


@pytest.fixture(scope="package")
def home(tmp_path_factory: pytest.TempPathFactory, servers: dict[str, ApiServer]) -> Path:
    """A home folder whose ~/.kube/config has the two clusters."""
    folder = tmp_path_factory.mktemp("home")
    merged: dict[str, list[object]] = {"clusters": [], "users": [], "contexts": []}
    for name, server in servers.items():
        one = yaml.safe_load(server.kubeconfig.read_text())
        merged["clusters"].append({"name": name, "cluster": one["clusters"][0]["cluster"]})
        merged["users"].append({"name": name, "user": one["users"][0]["user"]})
        merged["contexts"].append({"name": name, "context": {"cluster": name, "user": name}})
    (folder / ".kube").mkdir()
    (folder / ".kube" / "config").write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **merged}))
    return folder


@pytest.fixture(scope="package")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the package is made of, in a folder of its own: building writes beside the sources."""
    folder = tmp_path_factory.mktemp("clone") / "multicluster-dapr"
    for name in SHIPPED:
        source, target = REPOSITORY / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    return folder


@pytest.fixture(scope="package")
def wheel(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built with the setuptools that is here: without asking a package index."""
    folder = tmp_path_factory.mktemp("wheel")
    pip(sys.executable, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(clone))
    (built,) = folder.glob("*.whl")
    return built


def environment(folder: Path) -> Path:
    """A virtual environment that sees the packages installed here, and nothing of this repository."""
    venv.create(folder, symlinks=True)
    (purelib,) = folder.glob("lib/python*/site-packages")
    (purelib / "shared.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder / "bin" / "python"


def pip(python: Path | str, *arguments: str) -> None:
    """Run pip; its output is in the error when it fails."""
    argv = [str(python), "-m", "pip", "--disable-pip-version-check", *arguments]
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=ours)
    assert done.returncode == 0, done.stdout + done.stderr
