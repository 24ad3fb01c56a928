"""Peers: who a certificate proves to be, how clusters are asked, and what a gateway is answered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from gateway.core.certificates import der_of, fingerprint
from gateway.core.dialling import STRICT
from gateway.core.forward import request_start
from gateway.core.health_check import health_check_request
from gateway.core.identity import BY_NAME, BY_PATH, PeersKeys, named
from gateway.core.issuing import CLOCK_SKEW, ROOT_LIFETIME, Issuer, issue, make_root
from gateway.core.limits import Limits
from gateway.core.objects import CONTROLLER, HUB, MANAGED_BY
from gateway.core.peers import Caller, MutualTls, PeerTable, UnknownPeerError
from gateway.core.request import parse_request_head
from gateway.core.route import Endpoint, Route
from gateway.core.snapshot import Compiled, compile_snapshot

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
HERE, C1, C2 = (f"default/default/default/{name}" for name in ("here", "c1", "c2"))
ROOTS = {key: make_root(key, NOW) for key in (HERE, C1, C2)}
KEYS = PeersKeys((b"1" * 32,))
NAMED = named("demo/app", 3000, BY_NAME)


def der(issuer: Issuer, key: str) -> bytes:
    return der_of(x509.load_pem_x509_certificate(issue(issuer, key, NOW).chain))


def peer(key: str, port: int = 0, *roots: Issuer, name: str = "", **spec: Any) -> dict[str, Any]:
    listed = [root.pem.decode() for root in roots or (ROOTS[key],)]
    gateway = {"gateway": {"ip": "127.0.0.1", "port": port}} if port else {}
    return {
        "kind": "Peer", "metadata": {"name": name or key.rpartition("/")[2]},
        "spec": {"clusterKey": key, "roots": listed, **gateway, **spec},
    }  # fmt: skip


def compiled(*objects: Any, mode: MutualTls = MutualTls.STRICT, **more: Any) -> Compiled:
    return compile_snapshot(objects, HERE, mutual_tls=mode, **more)


def reasons(found: Compiled) -> set[tuple[str, str]]:
    return {(problem.kind, problem.reason) for problem in found.problems}


def test_a_certificate_proves_its_cluster_by_that_clusters_roots_alone() -> None:
    new = make_root(C1, NOW)
    table = compiled(peer(C1, 0, ROOTS[C1], new), peer(C2)).snapshot.table
    assert table.identify(der(ROOTS[C1], C1)) == C1
    assert table.identify(der(new, C1)) == C1
    assert table.identify(der(ROOTS[C2], C2)) == C2
    for bytes_, reason in (
        (der(ROOTS[C2], C1), "foreign-root"), (der(make_root(C1, NOW), C1), "foreign-root"),
        (der(ROOTS[HERE], HERE), "unknown-cluster"), (der_of(ROOTS[C1].certificate), "no-cluster-named"),
        (b"nothing", "unreadable-certificate"),
    ):  # fmt: skip
        with pytest.raises(UnknownPeerError) as caught:
            table.identify(bytes_)
        assert caught.value.reason == reason
    with pytest.raises(UnknownPeerError):
        PeerTable().identify(der(ROOTS[C1], C1))


def test_a_table_tells_which_roots_it_knows_and_until_when() -> None:
    new = make_root(C1, NOW, timedelta(days=2))
    table = compiled(peer(C1, 0, ROOTS[C1], new), peer(C2)).snapshot.table
    old, of_c2 = (fingerprint(ROOTS[key].certificate) for key in (C1, C2))
    assert table.fingerprints() == {C1: [old, fingerprint(new.certificate)], C2: [of_c2]}
    began = NOW - CLOCK_SKEW
    assert table.lifetimes() == [
        (C1, old, began, NOW + ROOT_LIFETIME),
        (C1, fingerprint(new.certificate), began, NOW + timedelta(days=2)),
        (C2, of_c2, began, NOW + ROOT_LIFETIME),
    ]
    assert (PeerTable().fingerprints(), PeerTable().lifetimes()) == ({}, [])


def test_without_mutual_tls_peers_are_not_read() -> None:
    found = compiled(peer(C1, spec={}), mode=MutualTls.OFF)
    assert (found.snapshot.table, found.problems) == (PeerTable(), ())


def test_a_cluster_is_no_peer_of_itself_and_of_two_objects_for_one_the_first_counts() -> None:
    found = compiled(peer(HERE), peer(C1, 1), peer(C1, 2, name="z-late"))
    assert list(found.snapshot.table.peers) == [C1]
    assert found.snapshot.table.endpoint(C1) == Endpoint("127.0.0.1", 1, C1)
    assert found.snapshot.table.endpoint(C2) is None
    assert found.snapshot.table.hosts == {"127.0.0.1"}
    assert reasons(found) == {("Peer", "DuplicateCluster")}
    assert found.snapshot.table.fingerprints() == {C1: [fingerprint(ROOTS[C1].certificate)]}
    assert found.snapshot.table.roots([C1, C2]) == [der_of(ROOTS[C1].certificate)]


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"clusterKey": "c1"}, "Invalid"), ({"clusterKey": 7}, "Invalid"), ({"roots": []}, "Invalid"),
        ({"roots": "x"}, "Invalid"), ({"roots": [ROOTS[C1].pem.decode()] * 5}, "Invalid"),
        ({"roots": [ROOTS[C1].pem.decode() * 5]}, "Invalid"), ({"roots": ["x"]}, "InvalidRoot"),
        ({"roots": [7]}, "InvalidRoot"),
        ({"roots": [ROOTS[C2].pem.decode()]}, "InvalidRoot"),
        ({"gateway": {"ip": "x", "port": 1}}, "InvalidAddress"), ({"gateway": 7}, "Invalid"),
        ({"gateway": {"ip": "10.0.0.1", "port": 0}}, "InvalidPort"),
    ],
)  # fmt: skip
def test_a_peer_that_cannot_count_is_reported_and_no_other_with_it(spec: dict[str, Any], reason: str) -> None:
    found = compiled(peer(C1, **spec), peer(C2))
    assert list(found.snapshot.table.peers) == [C2]
    assert reasons(found) == {("Peer", reason)}


def test_a_root_that_does_not_count_takes_no_other_with_it() -> None:
    good = ROOTS[C1].pem.decode()
    found = compiled(peer(C1, roots=[ROOTS[C2].pem.decode(), good]))
    assert len(found.snapshot.table.peers[C1].roots) == 1
    assert reasons(found) == {("Peer", "InvalidRoot")}


def test_addresses_that_are_never_dialled_are_none_of_gateways() -> None:
    raw = peer(C1, 1)
    raw["metadata"]["labels"] = {MANAGED_BY: HUB}
    found = compiled(raw, dialling=STRICT)
    assert found.snapshot.table.peers == {}
    assert reasons(found) == {("Peer", "AddressRefused")}


def test_peers_that_the_hub_did_not_make_do_not_count_in_a_cluster() -> None:
    for labels, counts in (({MANAGED_BY: HUB}, True), ({MANAGED_BY: CONTROLLER}, False), ({}, False)):
        raw = peer(C1)
        raw["metadata"]["labels"] = labels
        assert (C1 in compiled(raw, dialling=STRICT).snapshot.table.peers) == counts


def remote(found: Compiled, key: str = C1) -> tuple[tuple[Endpoint, ...], bytes, bytes]:
    (route,) = found.snapshot.host_routes()
    (cluster,) = [one for one in route.clusters if one.key == key]
    return cluster.endpoints, cluster.identity, cluster.prefix


@pytest.mark.parametrize("mode", list(MutualTls))
@pytest.mark.parametrize("listens", [True, False])
def test_how_another_cluster_is_asked(make: Any, mode: MutualTls, listens: bool) -> None:
    imported = make.imported(c1=8080), make.policy("ActiveActive")
    found = compiled(*imported, peer(C1, 8443 if listens else 0), mode=mode, peers=KEYS)
    plain, tag = (Endpoint("127.0.0.1", 8080),), KEYS.sign(C1, "demo/app", 3000, BY_NAME)
    secured = (Endpoint("127.0.0.1", 8443, C1),)
    if mode is not MutualTls.OFF and listens:
        assert remote(found) == (secured, NAMED, b""), "the certificate takes the tag's place"
    elif mode is MutualTls.STRICT:
        assert remote(found)[0] == (), "nobody is asked without"
        assert reasons(found) == {("ServiceImport", "NoMutualTls")}
    else:
        assert remote(found) == (plain, tag, b"")
    without_keys = compiled(*imported, peer(C1, 8443 if listens else 0), mode=mode)
    if not listens and mode is MutualTls.PERMISSIVE:
        assert remote(without_keys) == (plain, b"", b"/app"), "by path, as FSM's gateways ask"


@pytest.mark.parametrize("mode", list(MutualTls))
def test_by_which_values_a_service_is_asked_for(make: Any, mode: MutualTls) -> None:
    exact = make.export("other", "/exact", "Exact")
    objects = [make.service(), make.export(), make.service("other"), exact]
    snapshot = compiled(*objects, mode=mode, peers=KEYS).snapshot
    tagged = snapshot.identified(KEYS.sign(HERE, "demo/app", 3000, BY_NAME))
    assert (tagged is None) == (mode is MutualTls.STRICT)
    assert (snapshot.named.keys() == set()) == (mode is MutualTls.OFF)
    if mode is not MutualTls.OFF:
        assert set(snapshot.named) == {NAMED, named("demo/app", 3000, BY_PATH)}
        assert all(snapshot.holds(route) for route in snapshot.named.values())


@pytest.mark.parametrize("mode", list(MutualTls))
@pytest.mark.parametrize(
    ("own", "counts"),
    [
        ({"tlsAlone": True}, True), ({"tlsAlone": False}, False), ({"tlsAlone": "yes"}, False), ({}, False),
        (None, False),
    ],
    ids=["they all do", "some do not", "nonsense", "not told", "no Peer of its own"],
)  # fmt: skip
def test_gateways_that_all_others_ask_over_tls_serve_them_in_no_other_way(
    make: Any, mode: MutualTls, own: dict[str, Any] | None, *, counts: bool
) -> None:
    objects = [make.service(), make.export()]
    if own is not None:
        labels = {"name": "here", "labels": {MANAGED_BY: CONTROLLER}}
        objects.append({**peer(HERE), "metadata": labels, "status": own})
    snapshot = compiled(*objects, mode=mode, peers=KEYS).snapshot
    tagged = snapshot.identified(KEYS.sign(HERE, "demo/app", 3000, BY_NAME))
    closed = mode is MutualTls.STRICT or (mode is MutualTls.PERMISSIVE and counts)
    assert (tagged is None) == closed
    assert snapshot.table.closed == closed
    assert snapshot.paths.find(b"/app/x") is not None, "what is published is for everybody else"


@pytest.mark.parametrize("manager", ["multicluster-hub", "somebody", ""])
@pytest.mark.parametrize("cluster", [HERE, C1])
def test_whether_they_do_only_its_own_peer_says(make: Any, manager: str, cluster: str) -> None:
    said = {**peer(cluster), "metadata": {"name": "c1", "labels": {MANAGED_BY: manager}}}
    found = compiled(said | {"status": {"tlsAlone": True}}, mode=MutualTls.PERMISSIVE, peers=KEYS)
    assert not found.snapshot.table.closed


def asked(found: Compiled, caller: Caller, value: bytes | None) -> tuple[Route | None, int, str]:
    route, (status, _, reason) = found.snapshot.asked_by(caller, value)
    return route, status, reason


def test_what_a_gateway_is_answered(make: Any) -> None:
    """One function decides, from the caller's certificate to the clusters an export is for."""
    exports = [make.export(), make.export("few", "/few", targetClusters=[C2])]
    found = compiled(make.service(), make.service("few"), *exports)
    good = Caller(C1)
    route, status, reason = asked(found, good, NAMED)
    assert route is not None
    assert (route.service, status, reason) == ("demo/app", 0, "")
    few = named("demo/few", 3000, BY_PATH)
    for caller, value, answer in (
        (Caller("", "foreign-root", "why"), NAMED, (403, "foreign-root")),
        (Caller(C1, "expired-certificate", "why"), NAMED, (403, "expired-certificate")),
        (good, None, (421, "no-identity")), (good, b"", (421, "unknown-identity")),
        (good, NAMED + b"x", (421, "unknown-identity")), (good, few, (403, "not-a-target")),
    ):  # fmt: skip
        assert asked(found, caller, value) == (None, *answer)
    assert asked(found, Caller(C2), few)[1:] == (0, "")


def test_an_application_learns_the_callers_cluster_from_its_gateway_alone() -> None:
    forged = b"X-Gateway-Client-Cluster: me\r\nx_gateway-client_cluster: me\r\n"
    sent = b"GET / HTTP/1.1\r\nHost: x\r\n" + forged + b"A: b\r\n\r\n"
    head = parse_request_head(sent, Limits())
    start = request_start(head, b"/", b"", to_gateway=False, caller=C1.encode())
    assert start == b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\nX-Gateway-Client-Cluster: " + C1.encode()
    assert b"luster" not in request_start(head, b"/", b"", to_gateway=False)
    assert b"luster" not in request_start(head, b"/", b"", to_gateway=True)


def test_health_checks_on_a_kept_connection_do_not_end_it(make: Any) -> None:
    (route,) = compiled(make.imported(c1=1), make.policy("ActiveActive"), peer(C1, 2)).snapshot.host_routes()
    (cluster,) = [one for one in route.clusters if one.remote]
    kept, once = (health_check_request(route, cluster, keep=keep) for keep in (True, False))
    assert once == kept[:-2] + b"Connection: close\r\n\r\n"
    assert b"\r\nX-Gateway-Service: " + NAMED in kept
