"""What is done to a whole mesh to see what its trust stands: wrong clocks, short certificates, no hub."""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from e2e.tls_mesh import HUB, SYSTEM, TlsMesh

CLOCK = Path(__file__).with_name("clock.c")
FOLDER = "/clock"


def built_clock(folder: Path) -> bytes:
    """A library that moves the wall clock of a process; it asks no more of libc than any image has."""
    library = folder / "clock.so"
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", str(library), str(CLOCK)], check=True)
    return library.read_bytes()


def bring_clock(mesh: TlsMesh, name: str, library: bytes) -> None:
    """Have it at hand for the pods of a cluster: all nodes have the clock of one kernel."""
    clock = {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "clock"},
        "binaryData": {"clock.so": b64encode(library).decode()},
    }  # fmt: skip
    mesh.clusters[name](*SYSTEM, "apply", "-f", "-", stdin=json.dumps(clock))


def set_clock(mesh: TlsMesh, name: str, deployment: str, seconds: int) -> None:
    """The processes of a Deployment begin again with a wall clock that is so far off."""
    environment = {"LD_PRELOAD": f"{FOLDER}/clock.so", "CLOCK_OFF": str(seconds)}
    patched(
        mesh, name, deployment,
        {
            "env": [{"name": variable, "value": value} for variable, value in environment.items()],
            "volumeMounts": [{"name": "clock", "mountPath": FOLDER}],
        },
        volumes=[{"name": "clock", "configMap": {"name": "clock", "defaultMode": 0o555}}],
    )  # fmt: skip


def patched(mesh: TlsMesh, name: str, deployment: str, container: dict[str, Any], **spec: Any) -> None:
    """Change the container of a Deployment, and wait until it runs so."""
    changed = {**spec, "containers": [{"name": deployment, **container}]}
    patch = json.dumps({"spec": {"template": {"spec": changed}}})
    mesh.clusters[name](*SYSTEM, "patch", "deployment", deployment, "--type=strategic", "-p", patch)
    mesh.clusters[name](*SYSTEM, "rollout", "status", f"deployment/{deployment}", "--timeout=170s")


def shorten(mesh: TlsMesh, name: str, hours: float) -> None:
    """Certificates that a cluster's controller makes from now on count for so long."""
    shown = mesh.clusters[name](*SYSTEM, "get", "deployment", "controller", "-o", "json")
    arguments = json.loads(shown)["spec"]["template"]["spec"]["containers"][0]["args"]
    patched(mesh, name, "controller", {"args": [*arguments, f"--certificate-hours={hours}"]})


def scale_hub(mesh: TlsMesh, replicas: int) -> None:
    hub = "deployment/multicluster-hub"
    mesh.clusters[HUB](*SYSTEM, "scale", hub, f"--replicas={replicas}")
    mesh.clusters[HUB](*SYSTEM, "rollout", "status", hub, "--timeout=170s")


def handshakes(mesh: TlsMesh, name: str, result: str) -> int:
    """So many of those that came to a cluster's gateway ended like that."""
    wanted = f'gateway_tls_handshakes_total{{side="accepted",result="{result}"}} '
    lines = mesh.admin(name, "metrics").splitlines()
    return next((int(line.removeprefix(wanted)) for line in lines if line.startswith(wanted)), 0)


def access_log(mesh: TlsMesh, name: str, since: datetime) -> list[tuple[datetime, dict[str, Any]]]:
    """Lines of a cluster's gateway, each with the time at which its node has it."""
    moment = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    printed = mesh.clusters[name](
        *SYSTEM, "logs", "-l", "app=gateway", "--tail=-1", "--timestamps", f"--since-time={moment}"
    )
    found = []
    for line in printed.splitlines():
        at, _, said = line.partition(" ")
        if said.startswith("{"):
            found.append((datetime.fromisoformat(at), json.loads(said)))
    return found
