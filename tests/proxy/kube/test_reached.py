"""API servers behind somebody's proxy: below a path, with a certificate for another name than the URL's."""

from __future__ import annotations

import base64
import datetime as dt
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.kube.client import KubeClient
from gateway.kube.client_config import from_kubeconfig
from gateway.kube.errors import Unreachable
from gateway.kube.resources import SERVICE

NAME = "cluster-7.inside.example.org"


def certificate(folder: Path) -> Path:
    """A certificate for NAME that signs itself, with its key, in one file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "it")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "it.pem"
    path.write_bytes(pem)
    return path


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[dict[str, Any]]:
    """The `cluster` of a kubeconfig whose server lists nothing below /k8s/clusters/c-7."""

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"metadata": {"resourceVersion": "7"}, "items": []})

    pem = certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    app = web.Application()
    app.router.add_get("/k8s/clusters/c-7/api/v1/services", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    authority = pem.read_bytes().partition(b"-----BEGIN PRIVATE")[0]
    yield {
        "server": f"https://127.0.0.1:{runner.addresses[0][1]}/k8s/clusters/c-7/",
        "certificate-authority-data": base64.b64encode(authority).decode(),
    }
    await runner.cleanup()


async def listed(cluster: dict[str, Any]) -> str:
    """The version of the list that the client gets."""
    kubeconfig = {
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": "it", "user": {"token": "t"}}],
    }
    config = from_kubeconfig(json.dumps(kubeconfig))
    async with KubeClient(config, field_manager="test") as client:
        return (await client.list(SERVICE))[1]


async def test_the_certificate_is_checked_for_the_name_that_the_kubeconfig_says(
    cluster: dict[str, Any],
) -> None:
    assert await listed({**cluster, "tls-server-name": NAME}) == "7"


@pytest.mark.parametrize("name", [{}, {"tls-server-name": "cluster-8.inside.example.org"}])
async def test_and_for_no_other(cluster: dict[str, Any], name: dict[str, str]) -> None:
    with pytest.raises(Unreachable):
        await listed({**cluster, **name})
