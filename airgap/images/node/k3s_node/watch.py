"""What the node looks at while it runs: the manifests folder, and volumes that were just made."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

from . import layout
from .log import log

PERIOD_SECONDS = 0.25


def signature(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Changes when a file in the folder is added, removed or written."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in {".yaml", ".yml", ".json"})
    return tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in files)


def apply(folder: Path) -> bool:
    """Apply all manifests of the folder; False, and a line in the log, when one was refused."""
    how = ["--server-side", "--force-conflicts", "--validate=false", "--recursive"]
    argv = ["kubectl", "apply", *how, "--filename", str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        log("error", f"Not all manifests of {folder} could be applied: {done.stderr.strip()}")
    return done.returncode == 0


def write_node_hosts() -> None:
    """Hand CoreDNS the host names k3d put into the `coredns` ConfigMap."""
    done = subprocess.run(
        ["kubectl", "-n", "kube-system", "get", "configmap", "coredns", "-o", "jsonpath={.data.NodeHosts}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        log("error", f"The node hosts cannot be read: {done.stderr.strip()}")
        return
    fresh = layout.COREDNS / "NodeHosts.new"
    fresh.write_text(done.stdout)
    fresh.replace(layout.COREDNS / "NodeHosts")


def open_new_volumes(seen: set[str]) -> None:
    """Let any user write to freshly provisioned volumes, as k3s's local-path provisioner does."""
    for path in layout.STORAGE.iterdir():
        if path.name not in seen:
            path.chmod(0o777)
            seen.add(path.name)


def watch(stopping: threading.Event, applied: tuple[tuple[str, int, int], ...] | None) -> None:
    """Run until `stopping`; `applied` is the signature of what is applied already, None when that failed."""
    seen: set[str] = set()
    while not stopping.wait(PERIOD_SECONDS):
        try:
            open_new_volumes(seen)
            now = signature(layout.MANIFESTS)
            if now == applied:
                continue
            if apply(layout.MANIFESTS):
                applied = now
                write_node_hosts()
            else:
                stopping.wait(3.0)  # perhaps the definition a resource needs is just being established
        except OSError as error:  # a file vanished between listing and reading
            log("warning", f"The manifests folder changed while it was read: {error}")
