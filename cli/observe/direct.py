"""Kubeconfigs that say all that is needed to reach a cluster, so that no kubectl has to be started for it."""

from __future__ import annotations

import base64
import binascii
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stacks.config import documents
from stacks.config.kubeconfigs import KubeconfigError, only

CLUSTER = {"server", "certificate-authority-data"}
USERS = ({"client-certificate-data", "client-key-data"}, {"token"})
"""Of a user who needs nobody else's word: no login, no helper, no files of somebody's machine."""
SERVER = re.compile(r"https://[^/]+/?")
"""Behind a path there is somebody in between."""
PROXIES = ("https_proxy", "all_proxy")


@dataclass(frozen=True, kw_only=True)
class Direct:
    """An API server's URL, the TLS it is reached by, and what each request says of who asks."""

    server: str
    tls: ssl.SSLContext
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def direct(kubeconfig: str, context: str | None, folder: Path, env: Mapping[str, str]) -> Direct | None:
    """How a kubeconfig's cluster is reached; None where kubectl knows more of that than is known here.

    `folder` is private: the key lies in it for a moment, for OpenSSL reads keys from files alone.
    """
    if any(env.get(name) or env.get(name.upper()) for name in PROXIES):
        return None
    try:
        document = documents.load(kubeconfig)
        chosen = only(document, context or str(document.get("current-context")))
    except (yaml.YAMLError, AttributeError, KubeconfigError):
        return None  # kubectl says what is wrong with it
    cluster, user = chosen["clusters"][0]["cluster"], chosen["users"][0]["user"]
    if set(cluster) != CLUSTER or set(user) not in USERS or not SERVER.fullmatch(str(cluster["server"])):
        return None
    try:
        tls = ssl.create_default_context(cadata=_text(cluster, "certificate-authority-data"))
        tls.verify_flags &= ~ssl.VERIFY_X509_STRICT  # clusters' CAs lack what RFC 5280 asks for; Go asks less
        if "token" not in user:
            _prove(tls, user, folder)
    except (ValueError, OSError):
        return None
    headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
    return Direct(server=str(cluster["server"]), tls=tls, headers=headers)


def _prove(tls: ssl.SSLContext, user: Mapping[str, Any], folder: Path) -> None:
    file = folder / "client.pem"
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
            handle.write(_text(user, "client-certificate-data") + "\n" + _text(user, "client-key-data"))
        tls.load_cert_chain(file)
    finally:
        file.unlink(missing_ok=True)


def _text(part: Mapping[str, Any], key: str) -> str:
    try:
        return base64.b64decode(str(part[key])).decode("ascii")
    except binascii.Error as error:
        raise ValueError(f"{key} is not base64") from error
