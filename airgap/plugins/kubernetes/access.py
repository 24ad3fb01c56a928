"""Kubeconfig: which API server to talk to, and how to prove who we are."""

import asyncio
import base64
import json
import ssl
import tempfile
from dataclasses import dataclass, field
from typing import Any

import yaml

from airgap.plugins.base.process import run

_EXEC_SECONDS = 60.0
_ALWAYS = ("extensions", "name")
# What is understood of a cluster and of a user; anything else is refused, for it would change who we are.
_COVERED = {
    "cluster": ("server", "certificate-authority-data", "insecure-skip-tls-verify", "tls-server-name"),
    "user": ("token", "client-certificate-data", "client-key-data", "exec"),
}
# What a credential plugin answers, and the name of the same thing in a kubeconfig.
_ANSWERS = {
    "token": "token",
    "clientCertificateData": "client-certificate-data",
    "clientKeyData": "client-key-data",
}


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


def parse(kubeconfig: str, context: str = "") -> dict[str, Any]:
    """A kubeconfig, given as its text, with `context` made current."""
    try:
        config = yaml.load(kubeconfig, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 a safe loader
    except yaml.YAMLError as error:
        raise KubeconfigError(
            f"failed to parse kubeconfig data in `kubernetes:config:kubeconfig`: {error}"
        ) from error
    if not isinstance(config, dict):
        raise KubeconfigError(
            "failed to parse kubeconfig data in `kubernetes:config:kubeconfig`: not an object; "
            "the closed network's kubernetes plugin takes the text of a kubeconfig, not a path"
        )
    return {**config, "current-context": context or config.get("current-context") or ""}


def entry(config: dict[str, Any], group: str) -> dict[str, Any]:
    """The context in use, or its cluster or user. Raises KubeconfigError when it is not there."""
    name = config["current-context"] if group == "context" else entry(config, "context").get(group)
    for one in config.get(f"{group}s") or []:
        if one.get("name") == name:
            return dict(one.get(group) or {})
    raise KubeconfigError(f"unable to load Kubernetes client configuration: {group} {name!r} does not exist")


async def load(kubeconfig: str, context: str) -> Access:
    """Resolve a kubeconfig to what a client needs."""
    config = parse(kubeconfig, context)
    cluster, user = entry(config, "cluster"), entry(config, "user")
    for group, given in (("cluster", cluster), ("user", user)):
        if odd := [name for name in given if name not in (*_COVERED[group], *_ALWAYS)]:
            raise KubeconfigError(
                f"the closed network's kubernetes plugin does not cover {', '.join(odd)} of a kubeconfig's "
                f"{group}; write {', '.join(_COVERED[group])}"
            )
    if user.get("exec"):
        user |= await _exec_credential(user["exec"])
    return Access(
        server=cluster["server"].rstrip("/"),
        namespace=entry(config, "context").get("namespace") or "",
        headers={"Authorization": f"Bearer {user['token']}"} if user.get("token") else {},
        tls=_tls(cluster, user) if cluster["server"].startswith("https://") else None,
        tls_server_name=cluster.get("tls-server-name"),
        kubeconfig=config,
    )


def _tls(cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext:
    authority, certificate, key = (
        base64.b64decode(part.get(f"{name}-data") or "")
        for part, name in (
            (cluster, "certificate-authority"),
            (user, "client-certificate"),
            (user, "client-key"),
        )
    )
    try:
        context = ssl.create_default_context(cadata=authority.decode() or None)
        if cluster.get("insecure-skip-tls-verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if certificate and key:
            # OpenSSL reads a client certificate only from a file: one, private, for this call alone.
            with tempfile.NamedTemporaryFile(prefix="kube-client-") as file:
                file.write(certificate + b"\n" + key)
                file.flush()
                context.load_cert_chain(file.name)
    except (ssl.SSLError, ValueError) as error:
        raise KubeconfigError(f"the kubeconfig's certificates cannot be used: {error}") from error
    return context


async def _exec_credential(plugin: dict[str, Any]) -> dict[str, Any]:
    """Ask a credential plugin, once: a run is shorter than the credentials live."""
    info = {
        "apiVersion": plugin.get("apiVersion", "client.authentication.k8s.io/v1"),
        "kind": "ExecCredential",
        "spec": {"interactive": False},
    }
    environment = {pair["name"]: pair["value"] for pair in plugin.get("env") or []}
    environment["KUBERNETES_EXEC_INFO"] = json.dumps(info)
    argv = [plugin["command"], *(plugin.get("args") or [])]
    failed = f"credential plugin {plugin['command']!r} failed"
    try:
        done = await asyncio.wait_for(run(argv, environment=environment), _EXEC_SECONDS)
    except (OSError, TimeoutError) as error:
        raise KubeconfigError(f"{failed}: {error}") from error
    if done.status != 0:
        raise KubeconfigError(f"{failed}: {done.stderr.decode(errors='replace')}")
    status = json.loads(done.stdout).get("status") or {}
    found = {ours: status[theirs] for theirs, ours in _ANSWERS.items() if theirs in status}
    return {
        name: base64.b64encode(value.encode()).decode() if name.endswith("-data") else value
        for name, value in found.items()
    }
