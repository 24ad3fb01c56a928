"""What proxies need to send by mutual TLS to another cluster: the gateway's kind of certificates, for all.

The application is the other cluster's gateway: it asks for the proxy's certificate and shows its own. nginx
and HAProxy prove who they are as the gateway does, and check the same root.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.core.issuing import issue, make_root

CALLER, MEMBER = "default/default/default/caller", "default/default/default/member"
HOST = "service-0.bench:80"
"""What callers ask the gateway for; nginx and HAProxy take any."""
NAME = "gateways of member"
"""Common name of the application's certificate, which has no DNS name: nginx checks this one."""


@dataclass(frozen=True)
class Proofs:
    """Certificates of both sides, as files."""

    folder: Path

    @property
    def application(self) -> str:
        """Lines of nginx for the application."""
        return (
            f"ssl_certificate {self.folder}/member/tls.crt; "
            f"ssl_certificate_key {self.folder}/member/tls.key; "
            f"ssl_client_certificate {self.folder}/caller.root; ssl_verify_client on; "
            "ssl_protocols TLSv1.3; ssl_session_tickets off;"
        )

    @property
    def nginx(self) -> str:
        """Lines of nginx for a proxy."""
        return (
            f"proxy_ssl_certificate {self.certificate}/tls.crt; "
            f"proxy_ssl_certificate_key {self.certificate}/tls.key; "
            f"proxy_ssl_trusted_certificate {self.root}; proxy_ssl_verify on; "
            f'proxy_ssl_name "{NAME}"; proxy_ssl_protocols TLSv1.3;'
        )

    @property
    def haproxy(self) -> str:
        """Words of HAProxy's server line."""
        files = f"crt {self.certificate}/both.pem ca-file {self.root}"
        return f"ssl verify required {files} ssl-min-ver TLSv1.3 alpn http/1.1"

    @property
    def certificate(self) -> Path:
        """Folder of the proxy's certificate, as a Secret is mounted."""
        return self.folder / "caller"

    @property
    def root(self) -> Path:
        """By which the application proves who it is."""
        return self.folder / "member.root"

    def peer(self, key: str, port: int | None = None) -> dict[str, Any]:
        """What the other cluster's gateways read of one: its root, and where its gateways listen for them."""
        name = name_of(key)
        spec = {"clusterKey": key, "roots": [(self.folder / f"{name}.root").read_text()]}
        listening = {} if port is None else {"gateway": {"ip": "127.0.0.1", "port": port}}
        return {"kind": "Peer", "metadata": {"name": name}, "spec": {**spec, **listening}}

    def arguments(self, key: str, port: int) -> list[str]:
        """By which a cluster's gateway listens for the other's there, and proves who it is."""
        certificate = str(self.folder / name_of(key))
        return ["--mutual-tls", "strict", "--peers", f"127.0.0.1:{port}", "--certificate", certificate]

    def objects(self, port: int) -> str:
        """The gateway's objects: a service of the other cluster, and where that listens."""
        named = {"name": "service-0", "namespace": "bench"}
        target = {"host": "127.0.0.1", "ip": "127.0.0.1", "port": port, "path": "/service-0"}
        ports = [{"port": 80, "endpoints": [{"clusterKey": MEMBER, "target": target}]}]
        items = [
            {"kind": "ServiceImport", "metadata": named, "spec": {"ports": ports}},
            {"kind": "GlobalTrafficPolicy", "metadata": named, "spec": {"lbType": "ActiveActive"}},
            self.peer(MEMBER, port),
        ]
        return json.dumps({"kind": "List", "items": items})


def name_of(key: str) -> str:
    """A cluster's name, of its key."""
    return key.rpartition("/")[2]


def make_proofs(folder: Path) -> Proofs:
    """Both clusters' roots, and a certificate of each; good for a day."""
    now = datetime.now(UTC)
    for key in (CALLER, MEMBER):
        name = name_of(key)
        root = make_root(key, now)
        leaf = issue(root, key, now)
        (folder / name).mkdir(exist_ok=True)
        for file, content in {
            "tls.crt": leaf.chain,
            "tls.key": leaf.key,
            "both.pem": leaf.chain + leaf.key,
        }.items():
            (folder / name / file).write_bytes(content)
        (folder / f"{name}.root").write_bytes(root.pem)
    return Proofs(folder)
