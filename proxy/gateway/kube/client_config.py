"""Client configs: an API server and who to be there, by the pod's own identity or a kubeconfig given as text.

A kubeconfig from a Secret or a Cluster object is written by someone else. Anything in it that would make
this process read its own files or start a program (file paths, exec and auth-provider plugins) is refused:
it would hand out the hub's own token or run foreign code.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from gateway.core.objects import listed
from gateway.kube.errors import CredentialError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class ClientConfig:
    """A server and a credential. `token_file` and `source` win over `token`, and are read for every request.

    `server_name` is what the server's certificate is for, when that is not the host of `server`.
    """

    server: str
    ssl: ssl.SSLContext | None
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    source: Callable[[], str] | None = field(default=None, repr=False)
    server_name: str | None = None

    def bearer(self) -> str:
        """The token to send now. Bound tokens are rotated on disk about every hour."""
        if self.source is not None:
            return self.source()
        return self.token_file.read_text().strip() if self.token_file else self.token


def in_cluster(root: Path = SERVICE_ACCOUNT, environ: Mapping[str, str] = os.environ) -> ClientConfig:
    """The pod's own API server and ServiceAccount. CredentialError outside a pod."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (root / "token").exists():
        raise CredentialError(
            f"not in a pod: KUBERNETES_SERVICE_HOST or {root}/token is missing; set KUBECONFIG to a file"
        )
    context = ssl.create_default_context(cafile=str(root / "ca.crt"))
    return ClientConfig(
        f"https://{f'[{host}]' if ':' in host else host}:{port}", context, token_file=root / "token"
    )


def own_config(environ: Mapping[str, str] = os.environ) -> ClientConfig:
    """KUBECONFIG when it is set (tests, development), the pod's identity otherwise."""
    path = environ.get("KUBECONFIG")
    return from_kubeconfig(Path(path).read_text()) if path else in_cluster(environ=environ)


def from_kubeconfig(text: str) -> ClientConfig:
    """The current context of a self-contained kubeconfig. CredentialError says what is wrong with it."""
    try:
        config = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise CredentialError("kubeconfig is not YAML") from error  # the text itself is secret
    if not isinstance(config, Mapping):
        raise CredentialError("kubeconfig is not a mapping")
    context = _entry(config, "contexts", "context", str(config.get("current-context") or ""))
    cluster = _entry(config, "clusters", "cluster", str(context.get("cluster") or ""))
    user = _entry(config, "users", "user", str(context.get("user") or ""))
    for section, keys in (
        (cluster, ("certificate-authority", "proxy-url")),
        (
            user,
            (
                "client-certificate",
                "client-key",
                "tokenFile",
                "exec",
                "auth-provider",
                "username",
                "password",
            ),
        ),
    ):
        for key in keys:
            if section.get(key):
                raise CredentialError(
                    f"kubeconfig uses {key}, which is refused; put a token or certificates into the file"
                )
    server = str(cluster.get("server") or "").rstrip("/")
    if not server.startswith(("https://", "http://")):
        raise CredentialError(f"kubeconfig's server {server!r} is not an https:// address")
    return ClientConfig(
        server,
        _tls(cluster, user) if server.startswith("https") else None,
        token=str(user.get("token") or ""),
        server_name=str(cluster.get("tls-server-name") or "") or None,
    )


def _entry(config: Mapping[str, Any], section: str, inner: str, name: str) -> Mapping[str, Any]:
    for item in listed(config, section):
        if item.get("name") == name and isinstance(item.get(inner), Mapping):
            return cast("Mapping[str, Any]", item[inner])
    raise CredentialError(f"kubeconfig has no entry {name!r} in {section}, which its current-context needs")


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> ssl.SSLContext:
    try:
        authority = cluster.get("certificate-authority-data")
        context = ssl.create_default_context(cadata=_decode(authority).decode("ascii") if authority else None)
        if cluster.get("insecure-skip-tls-verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        certificate, key = user.get("client-certificate-data"), user.get("client-key-data")
        if certificate and key:
            _load_pair(context, _decode(certificate) + b"\n" + _decode(key))
    except (ssl.SSLError, ValueError) as error:
        raise CredentialError(
            f"kubeconfig holds a certificate or key that cannot be used: {error}"
        ) from error
    return context


def _decode(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def _load_pair(context: ssl.SSLContext, pem: bytes) -> None:
    # Python takes a client certificate only from a path; a memory file keeps the key off the disk.
    descriptor = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
