"""Mutual TLS between whole clusters: from none to strict under load, who is refused, what is to be seen."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from e2e.capture import Capture, is_tls
from e2e.commands import ROOT
from e2e.load import Load
from e2e.tls_client import Dialled
from e2e.tls_mesh import (
    EAST,
    ENVIRONMENT,
    GATEWAY,
    HUB,
    NODE_PORT,
    PEERS_NODE_PORT,
    PORT,
    SUBNET,
    SYSTEM,
    WEST,
    TlsMesh,
    eventually,
    http_port,
    key,
    peers_port,
    tls_mesh,
)
from existing.load import Load as OutsideLoad

from gateway.core.certificates import fingerprint, is_issued_by, read_certificates
from gateway.core.issuing import issue, make_root

pytestmark = [pytest.mark.e2e, pytest.mark.long]

MARK = "a-body-that-nobody-reads"
NAME = f"http://echo.shop:{PORT}/x"
DOOR = f"http://{GATEWAY}:{http_port(HUB)}/echo/x"
PLAIN = (http_port(EAST), NODE_PORT)
TLS = (peers_port(EAST), PEERS_NODE_PORT)
CALLERS = 6
"""By name from within, ten times a second each; and as many as make a hundred together at the front door."""
AT_THE_DOOR = 4


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsMesh]:
    """The environment without mutual TLS, as it is before anybody asks for it."""
    with tls_mesh(tmp_path_factory.mktemp("tls"), "off") as made:
        yield made


def seen(mesh: TlsMesh, body: str) -> tuple[str, Capture]:
    """An answer to a call from one cluster to another, and what was to be seen between them meanwhile."""
    with Capture(mesh.env, mesh.image, SUBNET, (*PLAIN, *TLS), seconds=8) as capture:
        answer = mesh.post(body)
    return answer, capture


def test_without_it_who_is_on_the_way_reads_the_calls(mesh: TlsMesh) -> None:
    eventually(lambda: "from cluster" in _asked(mesh, "hello"), "calls are answered", 120.0)
    answer, capture = seen(mesh, MARK)
    assert answer.startswith(f"from cluster: {EAST} caller: nobody {MARK}")
    assert any(MARK.encode() in data for data in capture.streams().values())


def _asked(mesh: TlsMesh, body: str) -> str:
    try:
        return mesh.post(body)
    except AssertionError:
        return ""


def test_a_running_mesh_changes_over_and_no_call_fails(mesh: TlsMesh, tell: Any) -> None:
    pairs = [(HUB, EAST), (WEST, EAST), (HUB, WEST), (EAST, WEST)]
    report: dict[str, Any] = {}
    with (
        Load(mesh.clusters[WEST], NAME, callers=CALLERS) as inside,
        OutsideLoad(DOOR, AT_THE_DOOR) as outside,
    ):
        inside.until(lambda: inside.served(EAST), "calls flow")
        began = time.time()
        mesh.up("permissive")
        report["permissive_up"] = round(time.time() - began, 1)
        report["listening"] = eventually(
            lambda: all(mesh.asks_over_tls(*pair) for pair in pairs), "all ask each other over TLS"
        )
        report["closed"] = eventually(
            lambda: all(mesh.page(name).get("plain") is False for name in (EAST, WEST)),
            "gateways are served over TLS alone where all others ask by it",
        )
        mesh.up("strict")
        inside.until(lambda: inside.served(EAST), "calls flow on")
        report |= inside.report(began) | {"seconds": round(time.time() - began, 1)}
    report |= {"at_the_door": outside.answered, "failed_there": outside.failed[:5]}
    tell(report)
    assert (report["failed"], outside.failed) == (0, [])
    assert report["requests"] > 100
    assert outside.answered > 100


def test_status_says_that_every_pair_is_authenticated_and_by_which_roots(mesh: TlsMesh) -> None:
    printed = subprocess.run(
        [str(ROOT / "stack"), "status", ENVIRONMENT, "--json"], capture_output=True, text=True, check=False
    )
    shown = json.loads(printed.stdout)
    assert shown["healthy"], shown["problems"]
    pairs = {(pair["caller"], pair["callee"]): pair for pair in shown["between"]}
    assert set(pairs) == {(key(HUB), key(EAST)), (key(WEST), key(EAST))}
    for pair in pairs.values():
        assert (pair["over"], pair["fault"]) == ("mutual TLS", "")
        assert all(len(roots) == 1 for roots in pair["roots"].values())
        assert datetime.fromisoformat(pair["until"]) > datetime.now(UTC)


def test_between_clusters_there_are_records_of_tls_and_nothing_else(mesh: TlsMesh) -> None:
    answer, capture = seen(mesh, MARK)
    assert answer.startswith(f"from cluster: {EAST} caller: {key(WEST)} {MARK}")
    found = capture.streams()
    assert {port for stream in found for port in (stream[1], stream[3])} & set(TLS), "the call was seen"
    assert not [stream for stream in found if {stream[1], stream[3]} & set(PLAIN)], (
        "nobody calls in the clear"
    )
    for stream, data in found.items():
        assert is_tls(data), f"{stream} begins with {data[:40]!r}"
        assert MARK.encode() not in data


@pytest.fixture
def dialled(tmp_path: Path) -> Dialled:
    return Dialled(tmp_path)


def test_who_proves_nothing_is_not_let_in(mesh: TlsMesh, dialled: Dialled) -> None:
    now = datetime.now(UTC)
    foreign = issue(make_root(key(WEST), now), key(WEST), now)
    assert b"HTTP" not in dialled.plain()
    assert dialled.tls() == b"", "without a certificate"
    assert dialled.tls(foreign.key + foreign.chain) == b"", "with the right name, by a root of nobody's"
    own = mesh.secret(WEST, "gateway-certificate")
    assert dialled.tls(own["tls.key"] + own["tls.crt"]).startswith(b"HTTP/1.1 200 "), "a gateway's own is"


def test_a_cluster_that_an_export_does_not_name_is_refused(mesh: TlsMesh, dialled: Dialled) -> None:
    of_west, of_hub = (mesh.secret(name, "gateway-certificate") for name in (WEST, HUB))
    refused = dialled.tls(of_west["tls.key"] + of_west["tls.crt"], "shop/other")
    assert refused.startswith(b"HTTP/1.1 403 ")
    assert f"{key(WEST)} is none of the targetClusters of the export shop/other".encode() in refused
    assert dialled.tls(of_hub["tls.key"] + of_hub["tls.crt"], "shop/other").startswith(b"HTTP/1.1 200 ")


def test_another_root_on_one_side_and_another_certificate_on_the_other_fail_no_call(
    mesh: TlsMesh, tell: Any
) -> None:
    """Somebody brings a CA of their own, and deletes a certificate because its key may have been seen."""
    before = {name: mesh.page(name)["since"] for name in (EAST, WEST)}
    theirs = make_root(key(EAST), datetime.now(UTC))

    def renewed(name: str) -> bool:
        return mesh.page(name).get("since") not in (None, before[name])

    with (
        Load(mesh.clusters[WEST], NAME, callers=CALLERS) as inside,
        OutsideLoad(DOOR, AT_THE_DOOR) as outside,
    ):
        inside.until(lambda: inside.served(EAST), "calls flow")
        began = time.time()
        mesh.bring_ca(EAST, theirs.pem, theirs.key_pem)
        mesh.clusters[WEST](*SYSTEM, "delete", "secret", "gateway-certificate")
        eventually(lambda: renewed(EAST) and renewed(WEST), "the gateways have their new certificates")
        inside.until(lambda: inside.served(EAST), "calls flow on")
        report = {**inside.report(began), "seconds": round(time.time() - began, 1)}
    tell(report | {"at_the_door": outside.answered, "failed_there": outside.failed[:5]})
    assert (report["failed"], outside.failed) == (0, [])
    issued = read_certificates(mesh.secret(EAST, "gateway-certificate")["tls.crt"])[0]
    assert is_issued_by(issued, [theirs.certificate])
    assert fingerprint(theirs.certificate) in mesh.page(WEST)["peers"][key(EAST)]


def test_the_way_back_fails_no_call_either(mesh: TlsMesh, tell: Any) -> None:
    def addresses() -> list[str]:
        return [address for name in (HUB, EAST, WEST) for address in mesh.addresses(name)]

    with (
        Load(mesh.clusters[WEST], NAME, callers=CALLERS) as inside,
        OutsideLoad(DOOR, AT_THE_DOOR) as outside,
    ):
        inside.until(lambda: inside.served(EAST), "calls flow")
        assert addresses()
        began = time.time()
        for mode in ("permissive", "accept"):
            mesh.up(mode)
        taken_back = eventually(lambda: not addresses(), "no Peer says where gateways listen")
        mesh.up("off")
        inside.until(lambda: inside.served(EAST), "calls flow on")
        report = {"taken_back": taken_back, **inside.report(began), "seconds": round(time.time() - began, 1)}
    tell(report | {"at_the_door": outside.answered, "failed_there": outside.failed[:5]})
    assert (report["failed"], outside.failed) == (0, [])
    assert mesh.post(MARK).startswith(f"from cluster: {EAST} caller: nobody {MARK}")
