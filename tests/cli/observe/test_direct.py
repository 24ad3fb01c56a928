"""Kubeconfigs with certificates or a token are followed without kubectl; what says more is left to it."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cli.errors import UserError
from cli.observe.api import ApiError, ClientConfig, open_apis
from cli.observe.direct import direct

ENV = {"PATH": "/nonexistent"}
"""There is no kubectl."""


def pair(name: str) -> tuple[str, str]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(called)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.public_bytes(encoding).decode(), private.decode()


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


SERVER, CLIENT = pair("server"), pair("client")
CERTIFICATE = {"client-certificate-data": encoded(CLIENT[0]), "client-key-data": encoded(CLIENT[1])}
TOKEN = {"token": "secret"}


def kubeconfig(server: str, user: dict[str, Any], **cluster: Any) -> str:
    of_cluster = {"server": server, "certificate-authority-data": encoded(SERVER[0]), **cluster}
    return yaml.safe_dump({
        "clusters": [{"name": "c", "cluster": of_cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "it", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "it",
    })  # fmt: skip


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[str]:
    """An API server that says who asks; its URL."""

    async def answer(request: web.Request) -> web.Response:
        shown = request.get_extra_info("peercert")
        name = dict(one[0] for one in shown["subject"])["commonName"] if shown else ""
        return web.json_response({"who": name, "token": request.headers.get("Authorization")})

    file, client = tmp_path / "server.pem", tmp_path / "client.pem"
    file.write_text(SERVER[0] + SERVER[1])
    client.write_text(CLIENT[0])
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(client))
    tls.load_cert_chain(file)
    tls.verify_mode = ssl.CERT_OPTIONAL
    application = web.Application()
    application.router.add_get("/{page:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.parametrize(
    ("user", "said"),
    [
        (CERTIFICATE, {"who": "client", "token": None}),
        (TOKEN, {"who": "", "token": "Bearer secret"}),
    ],
)
async def test_a_cluster_is_asked_as_its_kubeconfig_says(
    server: str, user: dict[str, Any], said: dict[str, Any]
) -> None:
    async with open_apis({"east": ClientConfig(kubeconfig(server, user))}, ENV) as apis:
        assert await apis["east"].json("/version") == said
        assert [path.name for path in apis["east"].kubeconfig.parent.iterdir()] == ["east.kubeconfig"]


async def test_who_is_not_the_kubeconfigs_server_is_asked_nothing(server: str) -> None:
    other = kubeconfig(server, TOKEN, **{"certificate-authority-data": encoded(pair("other")[0])})
    async with open_apis({"east": ClientConfig(other)}, ENV) as apis:
        with pytest.raises(ApiError, match=r"^the API server does not answer: .*certificate verify failed"):
            await apis["east"].text("/version")


async def test_a_server_that_is_gone_is_told_without_the_words_of_a_library(unused_tcp_port: int) -> None:
    gone = kubeconfig(f"https://127.0.0.1:{unused_tcp_port}", TOKEN)
    async with open_apis({"east": ClientConfig(gone)}, ENV) as apis:
        with pytest.raises(ApiError, match=r"does not answer: .*127\.0\.0\.1") as told:
            await apis["east"].text("/version")
    assert (told.value.status, "SSLContext" in str(told.value)) == (0, False)


HERE = "https://127.0.0.1:6444"


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: v1\n",
        "no: yaml: at: all",
        kubeconfig("http://127.0.0.1:8080", TOKEN),
        kubeconfig("https://rancher.example.org/k8s/clusters/c-7", TOKEN),
        kubeconfig(HERE, {"exec": {"command": "aws"}}),
        kubeconfig(HERE, {**TOKEN, "as": "somebody"}),
        kubeconfig(HERE, TOKEN, **{"proxy-url": "http://proxy.example.org"}),
        kubeconfig(HERE, TOKEN, **{"tls-server-name": "cluster-7"}),
        kubeconfig(HERE, TOKEN, **{"certificate-authority-data": "no base64!"}),
        kubeconfig(HERE, {**CERTIFICATE, "client-key-data": encoded("no key")}),
    ],
)
async def test_what_says_more_or_is_not_understood_is_left_to_kubectl(text: str) -> None:
    with pytest.raises(UserError, match="kubectl is not installed"):
        async with open_apis({"east": ClientConfig(text)}, ENV):
            pass


def test_a_key_that_is_none_is_not_left_behind(tmp_path: Path) -> None:
    assert (
        direct(kubeconfig(HERE, {**CERTIFICATE, "client-key-data": encoded("no key")}), None, tmp_path, ENV)
        is None
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_so_is_the_way_through_a_proxy(tmp_path: Path, name: str) -> None:
    text = kubeconfig(HERE, TOKEN)
    assert direct(text, "it", tmp_path, ENV) is not None
    assert direct(text, "it", tmp_path, {**ENV, name: "http://proxy.example.org"}) is None
