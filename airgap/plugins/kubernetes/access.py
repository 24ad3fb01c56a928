"""Kubeconfig: which API server to talk to, and how to prove who we are."""

import asyncio
import base64
import json
import os
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_EXEC_SECONDS = 60.0


class KubeconfigError(Exception):
    """The kubeconfig cannot be used; the text says why."""


@dataclass(frozen=True)
class Access:
    """One usable context of a kubeconfig."""

    server: str
    namespace: str  # the context's own, "" when it names none
    headers: dict[str, str]
    tls: ssl.SSLContext | None
    tls_server_name: str | None
    kubeconfig: dict[str, Any] = field(repr=False)  # with the context made current, for helm


def load_text(kubeconfig: str) -> dict[str, Any]:
    """Parse a kubeconfig given as contents or path; "" is the ambient one ($KUBECONFIG, ~/.kube/config)."""
    text = kubeconfig
    if not text:
        files = [Path(name) for name in os.environ.get("KUBECONFIG", "").split(os.pathsep) if name]
        found = [path for path in files or [Path.home() / ".kube" / "config"] if path.exists()]
        if not found:
            raise KubeconfigError("no kubeconfig: the provider has none and the ambient one does not exist")
        text = found[0].read_text()
    elif "\n" not in text and not text.lstrip().startswith("{"):
        path = Path(text).expanduser()
        if path.exists():
            text = path.read_text()
    try:
        config = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 a safe loader
    except yaml.YAMLError as error:
        raise KubeconfigError(
            f"failed to parse kubeconfig data in `kubernetes:config:kubeconfig`: {error}"
        ) from error
    if not isinstance(config, dict):
        raise KubeconfigError(
            "failed to parse kubeconfig data in `kubernetes:config:kubeconfig`: not an object"
        )
    return config


def active_cluster(config: dict[str, Any], context: str, cluster: str) -> dict[str, Any] | None:
    """The cluster entry (server, CA, ...) in use, or None when the context or cluster is missing."""
    entry = _named(config, "contexts", context or config.get("current-context") or "", "context")
    return _named(config, "clusters", cluster or (entry or {}).get("cluster", ""), "cluster")


async def load(kubeconfig: str, context: str, cluster: str) -> Access:
    """Resolve a kubeconfig to what a client needs."""
    config = load_text(kubeconfig)
    current = context or config.get("current-context") or ""
    chosen = _named(config, "contexts", current, "context")
    if chosen is None:
        raise KubeconfigError(
            f"unable to load Kubernetes client configuration: context {current!r} does not exist"
        )
    cluster_name = cluster or chosen.get("cluster", "")
    entry = _named(config, "clusters", cluster_name, "cluster")
    if entry is None or not entry.get("server"):
        raise KubeconfigError(
            f"unable to load Kubernetes client configuration: no server for cluster {cluster_name!r}"
        )
    if entry.get("proxy-url"):
        raise KubeconfigError(
            "the closed network's kubernetes plugin does not support proxy-url in a kubeconfig"
        )
    user = _named(config, "users", chosen.get("user", ""), "user") or {}
    if user.get("exec"):
        user = {**user, **await _exec_credential(user["exec"])}
    contexts = [
        {**c, "context": {**c["context"], "cluster": cluster_name}} if c.get("name") == current else c
        for c in config.get("contexts") or []
    ]
    return Access(
        server=entry["server"].rstrip("/"),
        namespace=chosen.get("namespace") or "",
        headers=_headers(user),
        tls=_tls(entry, user) if entry["server"].startswith("https://") else None,
        tls_server_name=entry.get("tls-server-name"),
        kubeconfig={**config, "contexts": contexts, "current-context": current},
    )


def _named(config: dict[str, Any], group: str, name: str, member: str) -> dict[str, Any] | None:
    for entry in config.get(group) or []:
        if entry.get("name") == name:
            return entry.get(member) or {}
    return None


def _headers(user: dict[str, Any]) -> dict[str, str]:
    token = user.get("token") or (
        Path(user["tokenFile"]).read_text().strip() if user.get("tokenFile") else ""
    )
    return {"Authorization": f"Bearer {token}"} if token else {}


def _tls(cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext:
    authority = _pem(cluster, "certificate-authority").decode() or None
    try:
        context = ssl.create_default_context(cadata=authority)
        if cluster.get("insecure-skip-tls-verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        certificate, key = _pem(user, "client-certificate"), _pem(user, "client-key")
        if certificate and key:
            # OpenSSL reads a client certificate only from a file: one, private, for this call alone.
            with tempfile.NamedTemporaryFile(prefix="kube-client-") as file:
                file.write(certificate + b"\n" + key)
                file.flush()
                context.load_cert_chain(file.name)
    except (ssl.SSLError, ValueError) as error:
        raise KubeconfigError(f"the kubeconfig's certificates cannot be used: {error}") from error
    return context


def _pem(entry: dict[str, Any], name: str) -> bytes:
    if entry.get(f"{name}-data"):
        return base64.b64decode(entry[f"{name}-data"])
    return Path(entry[name]).expanduser().read_bytes() if entry.get(name) else b""


async def _exec_credential(plugin: dict[str, Any]) -> dict[str, Any]:
    """Ask a credential plugin, once: a run is shorter than the credentials live."""
    info = {
        "apiVersion": plugin.get("apiVersion", "client.authentication.k8s.io/v1"),
        "kind": "ExecCredential",
        "spec": {"interactive": False},
    }
    environment = {**os.environ, "KUBERNETES_EXEC_INFO": json.dumps(info)}
    environment |= {pair["name"]: pair["value"] for pair in plugin.get("env") or []}
    try:
        process = await asyncio.create_subprocess_exec(
            plugin["command"],
            *(plugin.get("args") or []),
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        stdout, stderr = await asyncio.wait_for(process.communicate(), _EXEC_SECONDS)
    except (OSError, TimeoutError) as error:
        raise KubeconfigError(f"credential plugin {plugin['command']!r} failed: {error}") from error
    if process.returncode != 0:
        raise KubeconfigError(
            f"credential plugin {plugin['command']!r} failed: {stderr.decode(errors='replace')}"
        )
    status = json.loads(stdout).get("status") or {}
    names = {
        "token": "token",
        "clientCertificateData": "client-certificate-data",
        "clientKeyData": "client-key-data",
    }
    found = {ours: status[theirs] for theirs, ours in names.items() if theirs in status}
    for name in ("client-certificate-data", "client-key-data"):
        if name in found:
            found[name] = base64.b64encode(found[name].encode()).decode()
    return found
