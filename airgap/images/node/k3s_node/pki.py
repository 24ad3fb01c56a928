"""Certificates and kubeconfigs, made by kubeadm's phases.

Authorities and the service account key are made once and live on the volume. The API server's certificate
is made again when the names it must hold change, for example the container's address after a restart.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from . import layout, render

CONFIG = Path("/etc/k3s-node/kubeadm.yaml")
CLIENTS = {"kube-proxy": "system:kube-proxy", "coredns": "system:coredns"}
KUBEADM_FILES = ("admin", "super-admin", "kubelet", "controller-manager", "scheduler")


def ensure_certificates(node: render.Node, version: str) -> None:
    CONFIG.write_text(render.kubeadm_config(node, version))
    names = layout.KUBERNETES / "apiserver-names"
    wanted = "\n".join((*node.certificate_names, node.options.service_cidr))
    if not names.exists() or names.read_text() != wanted:
        for suffix in ("crt", "key"):
            (layout.PKI / f"apiserver.{suffix}").unlink(missing_ok=True)
    _kubeadm("init", "phase", "certs", "all", "--config", str(CONFIG))
    names.write_text(wanted)
    for name in KUBEADM_FILES:  # they hold the node's address, and kubeadm refuses to change one
        (layout.KUBERNETES / f"{name}.conf").unlink(missing_ok=True)
    _kubeadm("init", "phase", "kubeconfig", "all", "--config", str(CONFIG))
    for name, user in CLIENTS.items():
        text = _kubeadm("kubeconfig", "user", "--client-name", user, "--config", str(CONFIG))
        _write_secret(layout.KUBERNETES / f"{name}.conf", text)


def publish_kubeconfig() -> None:
    """Write the administrator's kubeconfig where k3s has it and where k3d asks for it."""
    text = render.default_kubeconfig((layout.KUBERNETES / "super-admin.conf").read_text())
    targets = {layout.KUBECONFIG}
    if os.environ.get("K3S_KUBECONFIG_OUTPUT"):
        targets.add(Path(os.environ["K3S_KUBECONFIG_OUTPUT"]))
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_secret(target, text)


def _kubeadm(*words: str) -> str:
    done = subprocess.run(["kubeadm", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"kubeadm {' '.join(words)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def _write_secret(path: Path, text: str) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(path)
