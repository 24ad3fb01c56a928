"""The comparison over mutual TLS: what is given to the gateway and its peers is what each of them takes."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import pytest

from bench.between import CALLER, HOST, MEMBER, NAME, Proofs, make_proofs
from bench.traffic import FIELD_SETS, mixed, unlike
from gateway.certificate_files import read_certificate
from gateway.core.peers import MutualTls
from gateway.core.snapshot import compile_snapshot


@pytest.fixture
def proofs(tmp_path: Path) -> Proofs:
    return make_proofs(tmp_path)


def test_the_gateway_asks_the_other_cluster_over_tls_alone(proofs: Proofs) -> None:
    items = json.loads(proofs.objects(8443))["items"]
    compiled = compile_snapshot(items, CALLER, mutual_tls=MutualTls.STRICT)
    assert compiled.problems == ()
    route = compiled.snapshot.hosts.find(HOST.encode())
    assert route is not None
    (endpoint,) = [each for cluster in route.clusters for each in cluster.endpoints]
    assert (endpoint.port, endpoint.peer) == (8443, MEMBER)
    assert (
        read_certificate(proofs.certificate, CALLER).until
        > read_certificate(proofs.certificate, CALLER).since
    )


def test_a_peer_proves_who_it_is_and_knows_the_application_by_its_name(proofs: Proofs) -> None:
    client = ssl.create_default_context(cafile=str(proofs.root))
    client.hostname_checks_common_name = True
    client.load_cert_chain(proofs.certificate / "both.pem")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(proofs.folder / "caller.root"))
    server.load_cert_chain(proofs.folder / "member" / "both.pem")
    server.verify_mode = ssl.CERT_REQUIRED
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asks = client.wrap_bio(to_client, to_server, server_hostname=NAME)
    answers = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (asks, answers, asks, answers):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert asks.getpeercert()
    assert answers.getpeercert()


def test_only_the_host_that_is_asked_for_is_another_one() -> None:
    asked = unlike(mixed(list(FIELD_SETS)), ["/service-0"], HOST)
    assert f"Host: {HOST}\\r\\n" in asked
    assert "Host: shop.example.com" not in asked
    assert "Referer: https://shop.example.com/" in asked
