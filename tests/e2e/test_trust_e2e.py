"""What the trust between whole clusters stands: wrong clocks, a hub that is away, stolen keys."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from e2e.load import Load
from e2e.tls_changes import (
    access_log,
    bring_clock,
    built_clock,
    handshakes,
    scale_hub,
    set_clock,
    shorten,
)
from e2e.tls_client import Dialled
from e2e.tls_mesh import (
    EAST,
    GATEWAY,
    HUB,
    PORT,
    SYSTEM,
    WEST,
    TlsMesh,
    eventually,
    http_port,
    key,
    tls_mesh,
)
from existing.load import Load as OutsideLoad

from gateway.core.certificates import Leaf, fingerprint, is_issued_by, read_certificates
from gateway.core.issuing import Issuer, issue, make_root, read_issuer

pytestmark = [pytest.mark.e2e, pytest.mark.long]

NAME = f"http://echo.shop:{PORT}/x"
DOOR = f"http://{GATEWAY}:{http_port(HUB)}/echo/x"
OFF = timedelta(minutes=5)
HOURS = 0.08
"""A certificate's time when it is short: a kubelet takes up to a minute and a half to bring the next one."""
A_LIFE = HOURS * 3600
CERTIFICATE = "gateway-certificate"
DAY = timedelta(hours=24)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsMesh]:
    with tls_mesh(tmp_path_factory.mktemp("trust"), "strict") as made:
        eventually(
            lambda: all(made.asks_over_tls(one, EAST) for one in (HUB, WEST)), "all ask each other over TLS"
        )
        yield made


@pytest.fixture
def dialled(tmp_path: Path) -> Dialled:
    return Dialled(tmp_path)


@contextmanager
def unbroken(mesh: TlsMesh, report: dict[str, Any]) -> Iterator[Load]:
    """Calls by name from within a cluster, and at the front door, none of which may fail meanwhile."""
    with Load(mesh.clusters[WEST], NAME) as inside, OutsideLoad(DOOR, 4) as outside:
        inside.until(lambda: inside.served(EAST), "calls flow")
        began = time.time()
        yield inside
        inside.until(lambda: inside.served(EAST), "calls flow on")
        report |= {**inside.report(began), "seconds": round(time.time() - began)}
    report |= {"at_the_door": outside.answered, "failed_there": outside.failed[:5]}


def certificate(mesh: TlsMesh, name: str) -> Any:
    """That of a cluster's gateways."""
    return read_certificates(mesh.secret(name, CERTIFICATE)["tls.crt"])[0]


def has_loaded(mesh: TlsMesh, name: str) -> bool:
    """Whether a cluster's gateways have the certificate that is in its Secret."""
    ends = certificate(mesh, name).not_valid_after_utc
    return bool(ends.isoformat() == mesh.page(name).get("until"))


def roots(mesh: TlsMesh) -> set[str]:
    """Those of the calling cluster that the exporter's gateways trust."""
    return set(mesh.page(EAST).get("peers", {}).get(key(WEST), ()))


def issued_again(mesh: TlsMesh, name: str) -> Any:
    """Another one, in place of one that somebody deletes."""
    before = certificate(mesh, name).serial_number
    mesh.clusters[name](*SYSTEM, "delete", "secret", CERTIFICATE)

    def there() -> bool:
        found = mesh.clusters[name](*SYSTEM, "get", "secret", CERTIFICATE, "--ignore-not-found", "-o", "name")
        return bool(found.strip()) and certificate(mesh, name).serial_number != before

    eventually(there, "there is another certificate")
    return certificate(mesh, name)


def ca(mesh: TlsMesh, name: str) -> Issuer:
    """A cluster's own, as who has stolen it has it."""
    data = mesh.secret(name, "gateway-ca")
    return read_issuer(data["tls.crt"], data["tls.key"], key(name))


def why_refused(mesh: TlsMesh, dialled: Dialled, leaf: Leaf) -> str:
    """What the exporter's gateway logs of who comes with this certificate. It has to count it as well."""
    result = "certificate-verify-failed"
    counted, since = handshakes(mesh, EAST, result), datetime.now(UTC)
    assert dialled.tls(leaf.key + leaf.chain) == b""
    eventually(lambda: handshakes(mesh, EAST, result) > counted, "it is counted", 20.0)
    lines = [line for _, line in access_log(mesh, EAST, since) if line.get("reason") == f"tls-{result}"]
    assert lines, "it is logged"
    return str(lines[-1]["detail"])


@pytest.mark.parametrize("off", [OFF, -OFF], ids=["ahead", "behind"])
def test_a_cluster_whose_clock_is_five_minutes_off_loses_no_call(
    mesh: TlsMesh, tmp_path: Path, tell: Any, off: timedelta
) -> None:
    """Neither by the certificate it had, nor by one of that clock: its gateways and controller have it."""
    bring_clock(mesh, EAST, built_clock(tmp_path))
    report: dict[str, Any] = {}
    with unbroken(mesh, report) as calls:
        set_clock(mesh, EAST, "gateway", round(off.total_seconds()))
        calls.until(lambda: calls.served(EAST), "calls flow on by the certificate of before")
        set_clock(mesh, EAST, "controller", round(off.total_seconds()))
        until = issued_again(mesh, EAST).not_valid_after_utc
        made = until - DAY - datetime.now(UTC)
        eventually(partial(has_loaded, mesh, EAST), "its gateways have it")
    at, line = access_log(mesh, EAST, datetime.now(UTC) - timedelta(seconds=10))[-1]
    written = datetime.fromisoformat(line["time"]) - at
    tell(report | {"certificate_off": made.total_seconds(), "log_off": written.total_seconds()})
    assert (report["failed"], report["failed_there"]) == (0, [])
    assert abs(made - off) < timedelta(seconds=20), "the certificate is of that clock"
    assert abs(written - off) < timedelta(seconds=5), "and so is what the gateway writes"


def test_an_ended_certificate_and_one_in_anothers_name_are_refused_and_said_why(
    mesh: TlsMesh, dialled: Dialled
) -> None:
    for deployment in ("controller", "gateway"):
        set_clock(mesh, EAST, deployment, 0)
    stolen, now = ca(mesh, WEST), datetime.now(UTC)
    ended = issue(stolen, key(WEST), now - timedelta(hours=3), timedelta(hours=1))
    assert "certificate has expired" in why_refused(mesh, dialled, ended)
    assert "permitted subtree violation" in why_refused(mesh, dialled, issue(stolen, key(HUB), now))
    good = issue(stolen, key(WEST), now)
    assert dialled.tls(good.key + good.chain).startswith(b"HTTP/1.1 200 "), "in its own name it is let in"


def test_without_a_hub_certificates_are_renewed_and_a_root_goes_when_it_is_back(
    mesh: TlsMesh, dialled: Dialled, tell: Any
) -> None:
    """For longer than a certificate counts. The calling cluster has a CA of the user's, just replaced."""
    first, second = (make_root(key(WEST), datetime.now(UTC)) for _ in range(2))
    for name in (EAST, WEST):
        shorten(mesh, name, HOURS)
    mesh.bring_ca(WEST, first.pem, first.key_pem)
    mesh.clusters[WEST](*SYSTEM, "delete", "secret", "gateway-ca", "--now")
    for name in (EAST, WEST):
        issued_again(mesh, name)

    eventually(lambda: is_issued_by(certificate(mesh, WEST), [first.certificate]), "the user's CA issues")
    for name in (EAST, WEST):
        eventually(partial(has_loaded, mesh, name), "gateways have it")
    old, new = fingerprint(first.certificate), fingerprint(second.certificate)
    eventually(lambda: roots(mesh) == {old}, "others know it")
    report: dict[str, Any] = {}
    with unbroken(mesh, report):
        mesh.bring_ca(WEST, second.pem, second.key_pem)
        eventually(lambda: is_issued_by(certificate(mesh, WEST), [second.certificate]), "the other issues")
        scale_hub(mesh, 0)
        gone, seen = time.monotonic(), {name: set[str]() for name in (EAST, WEST)}
        while time.monotonic() - gone < A_LIFE + 20:
            time.sleep(5)
            for name in (EAST, WEST):
                seen[name] |= {said["until"] for said in [mesh.page(name)] if said}
        assert roots(mesh) == {old, new}, "nobody said that a root has gone"
        thief = issue(first, key(WEST), datetime.now(UTC))
        assert dialled.tls(thief.key + thief.chain).startswith(b"HTTP/1.1 200 ")
        scale_hub(mesh, 1)
        took = eventually(lambda: roots(mesh) == {new}, "the root has gone")
    tell(
        report | {"without_hub": A_LIFE + 20, "until": {n: sorted(s) for n, s in seen.items()}, "root": took}
    )
    assert (report["failed"], report["failed_there"]) == (0, [])
    assert all(len(used) >= 4 for used in seen.values()), "each was renewed thrice and more"
    assert all(min(map(datetime.fromisoformat, used)) < datetime.now(UTC) for used in seen.values())
    assert "unable to get local issuer certificate" in why_refused(mesh, dialled, thief)
