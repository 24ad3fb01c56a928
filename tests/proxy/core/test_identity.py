"""What gateways tell each other of a request's service, and where it leads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.describe import describe
from gateway.core.forward import request_start
from gateway.core.identity import BY_NAME, BY_PATH, NO_KEYS, PeersKeys
from gateway.core.limits import Limits
from gateway.core.request import parse_request_head
from gateway.core.route import Route
from gateway.core.snapshot import Snapshot, compile_snapshot

HERE = "default/default/default/here"
KEYS = PeersKeys((b"1" * 32,))
NAMES = ("shop", "evil", "other")


def named(raw: dict[str, Any], namespace: str) -> dict[str, Any]:
    raw["metadata"]["namespace"] = namespace
    return raw


def compiled(*objects: Any, peers: PeersKeys = KEYS, front_door: bool = False) -> Snapshot:
    return compile_snapshot(objects, HERE, front_door, peers=peers).snapshot


def found(snapshot: Snapshot, service: str, how: str = BY_NAME, port: int = 3000) -> Route | None:
    return snapshot.identified(KEYS.sign(HERE, service, port, how))


def targets(route: Route | None, target: bytes) -> bytes:
    assert route is not None
    (cluster,) = route.clusters
    return cluster.target(target)


def test_a_value_names_the_service_and_is_one_for_an_exporter_a_port_and_a_way_of_asking() -> None:
    said = ["default/default/default/c1", "demo/app", 80, BY_NAME]
    value = KEYS.sign("default/default/default/c1", "demo/app", 80, BY_NAME)
    assert value.startswith(b"demo/app:80;name;")
    others: list[list[Any]] = [
        ["default/default/default/c2", *said[1:]], [said[0], "demo/app2", *said[2:]],
        [*said[:2], 81, BY_NAME], [*said[:3], BY_PATH],
    ]  # fmt: skip
    tags = {KEYS.sign(*other).rpartition(b";")[2] for other in others}
    assert len(tags | {value.rpartition(b";")[2]}) == 5
    assert PeersKeys((b"2" * 32,)).sign("default/default/default/c1", "demo/app", 80, BY_NAME) != value
    assert "1" * 9 not in repr(KEYS)


def test_the_first_key_signs_and_all_are_accepted() -> None:
    old, new = b"1" * 32, b"2" * 32
    both = PeersKeys((new, old))
    args = (HERE, "demo/app", 80, BY_NAME)
    assert set(both.accepted(*args)) == {PeersKeys((old,)).sign(*args), PeersKeys((new,)).sign(*args)}
    assert both.sign(*args) == PeersKeys((new,)).sign(*args)
    assert (NO_KEYS.sign(*args), list(NO_KEYS.accepted(*args))) == (b"", [])


def test_keys_are_told_apart_by_what_is_no_secret(make: Any) -> None:
    both = PeersKeys((b"2" * 32, b"1" * 32))
    snapshot = compiled(make.service(), make.export(), peers=both)
    page = describe(snapshot, 1, lambda *_: None, 0.0)
    assert page["peers"] == list(both.fingerprints)
    assert both.fingerprints[1:] == KEYS.fingerprints
    assert len(set(both.fingerprints)) == 2
    shown = json.dumps(page)
    assert not any(key.hex() in shown or key.decode() in shown for key in both.keys)
    assert compiled(peers=NO_KEYS).peers == ()


def test_no_exporter_passes_for_another_one_and_its_service() -> None:
    assert KEYS.sign('a", "b', "c", 1, BY_NAME)[-32:] != KEYS.sign("a", 'b", "c', 1, BY_NAME)[-32:]


@pytest.mark.parametrize(
    ("rewrite", "by_name", "by_path"),
    [
        (None, b"/login?a=b", b"/shop/login"),
        ({"from": "^/shop/?", "to": "/"}, b"/login?a=b", b"/login"),
        ({"from": "^/shop", "to": "/v2"}, b"/v2/login?a=b", b"/v2/login"),
    ],
)
def test_a_call_by_name_has_no_path_and_a_rewrite_still_sees_it(
    make: Any, rewrite: dict[str, str] | None, by_name: bytes, by_path: bytes
) -> None:
    more = {"pathRewrite": rewrite} if rewrite else {}
    snapshot = compiled(make.service(), make.slice("10.0.0.1"), make.export(path="/shop/*", **more))
    assert targets(found(snapshot, "demo/app"), b"/login?a=b") == by_name
    assert targets(found(snapshot, "demo/app", BY_PATH), b"/shop/login") == by_path


def test_the_import_sends_what_the_caller_sent_and_says_the_service(make: Any) -> None:
    objects = [make.imported(path="/shop", c1=81), make.policy("ActiveActive")]
    for peers, target in ((KEYS, b"/x"), (NO_KEYS, b"/shop/x")):
        route = compiled(*objects, peers=peers).hosts.find(b"app.demo:3000")
        assert route is not None
        cluster = next(cluster for cluster in route.clusters if cluster.remote)
        assert cluster.target(b"/x") == target
        assert cluster.identity == peers.sign(make.key("c1"), "demo/app", 3000, BY_NAME)


def test_the_front_door_leaves_the_path_and_says_the_service(make: Any) -> None:
    objects = [make.imported(path="/shop", c1=81), make.imported("other", path="/other", c1=81)]
    objects[0]["spec"]["ports"] += make.imported(port=9000, path="/admin", c1=81)["spec"]["ports"]
    snapshot = compiled(*objects, front_door=True)
    for path, service, port in (
        (b"/shop/x", "demo/app", 3000), (b"/admin/x", "demo/app", 9000), (b"/other/x", "demo/other", 3000),
    ):  # fmt: skip
        route = snapshot.paths.find(path)
        assert route is not None
        cluster = next(cluster for cluster in route.clusters if cluster.remote)
        assert cluster.target(path) == path
        assert cluster.identity == KEYS.sign(make.key("c1"), service, port, BY_PATH)


def test_without_a_key_nothing_is_known_and_nothing_is_said(make: Any) -> None:
    snapshot = compiled(make.service(), make.slice("10.0.0.1"), make.export(), peers=NO_KEYS)
    assert not snapshot.identities
    assert found(snapshot, "demo/app") is None
    assert snapshot.identified(b"") is None


def test_ports_that_nobody_imports_have_no_identity(make: Any) -> None:
    service = make.service(ports={3000: "http", 9000: "admin", 9001: "metrics"})
    export = make.export()
    export["spec"]["rules"].append({"path": "/admin", "pathType": "Exact", "portNumber": 9000})
    export["spec"]["rules"].append({"path": "/again", "pathType": "Prefix", "portNumber": 3000})
    snapshot = compiled(service, make.slice("10.0.0.1"), export)
    assert {(route.port, route.where) for route in snapshot.identities.values()} == {(3000, "Prefix /app")}


def test_the_paths_of_others_are_nothing_to_an_identity(make: Any) -> None:
    """An older export has the path by now: who is asked for by name must not become somebody else."""
    evil = named(make.export("evil", "/shop"), "evil")
    evil["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z"
    objects = [
        named(make.service("evil"), "evil"), named(make.slice("10.0.0.6", name="evil"), "evil"), evil,
        named(make.service("shop"), "shop"), named(make.slice("10.0.0.5", name="shop"), "shop"),
        named(make.export("shop", "/shop"), "shop"),
    ]  # fmt: skip
    snapshot = compiled(*objects)
    path = snapshot.paths.find(b"/shop")
    assert path is not None
    assert path.service == "evil/evil"
    assert [found(snapshot, "shop/shop", how) for how in (BY_NAME, BY_PATH)] == [None, None]


def test_states_of_routes_by_identity_are_kept_while_they_are_exported(make: Any) -> None:
    rewrite = {"from": "^/app/?", "to": "/"}
    objects = [make.service(), make.slice("10.0.0.1"), make.export(pathRewrite=rewrite)]
    snapshot, without = compiled(*objects), compiled(*objects[:2])
    for how in (BY_NAME, BY_PATH):
        route = found(snapshot, "demo/app", how)
        assert route is not None
        assert snapshot.holds(route)
        assert not without.holds(route)


def test_the_front_door_of_a_cluster_that_exports_too_serves_its_own_by_name(make: Any) -> None:
    objects = [make.service(), make.slice("10.0.0.1"), make.export(), make.imported(c1=81)]
    snapshot = compiled(*objects, front_door=True)
    path = snapshot.paths.find(b"/app")
    assert path is not None
    assert [cluster.remote for cluster in path.clusters] == [False, True]
    for how in (BY_NAME, BY_PATH):
        route = found(snapshot, "demo/app", how)
        assert route is not None
        assert [cluster.remote for cluster in route.clusters] == [False], "it goes no further"
        assert snapshot.holds(route)


@given(data=st.data())
def test_a_request_by_identity_reaches_exactly_that_exports_service(data: st.DataObject) -> None:
    paths = st.sampled_from(["/", "/shop", "/shop/", "/shop/login", "/shop/login/x", "/other", "/other/*"])
    rules = st.lists(
        st.tuples(paths, st.sampled_from(["Prefix", "Exact"]), st.sampled_from([80, 81])), max_size=3
    )
    objects: list[dict[str, Any]] = []
    exports: list[tuple[str, str]] = []
    for number, (namespace, name) in enumerate((a, b) for a in NAMES for b in NAMES):
        exported = data.draw(rules)
        if not exported:
            continue
        exports.append((namespace, name))
        metadata = {
            "namespace": namespace, "name": name,
            "creationTimestamp": f"2026-01-0{data.draw(st.integers(1, 9))}T00:00:00Z",
        }  # fmt: skip
        ports = [{"port": port, "name": f"p{port}"} for port in (80, 81)]
        objects.append({"kind": "Service", "metadata": metadata, "spec": {"ports": ports}})
        objects.append({
            "kind": "EndpointSlice", "addressType": "IPv4", "ports": ports,
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": name}},
            "endpoints": [{"addresses": [f"10.0.0.{number}"]}],
        })  # fmt: skip
        listed = [{"path": path, "pathType": kind, "portNumber": port} for path, kind, port in exported]
        spec: dict[str, Any] = {"rules": listed}
        if data.draw(st.booleans()):
            spec["pathRewrite"] = {"from": "^/shop/?", "to": "/"}
        objects.append({"kind": "ServiceExport", "metadata": metadata, "spec": spec})
    found = compile_snapshot(objects, HERE, peers=KEYS)
    imported = {(export.key, port.number) for export in found.exports for port in export.ports}
    for namespace, name in ((a, b) for a in NAMES for b in NAMES):
        for port in (80, 81):
            for how in (BY_NAME, BY_PATH):
                service = f"{namespace}/{name}"
                route = found.snapshot.identified(KEYS.sign(HERE, service, port, how))
                assert (route is not None) == (((namespace, name), port) in imported)
                if route is not None:
                    assert (route.service, route.port) == (service, port)
                    number = [(a, b) for a in NAMES for b in NAMES].index((namespace, name))
                    hosts = [endpoint.host for cluster in route.clusters for endpoint in cluster.endpoints]
                    assert hosts == [f"10.0.0.{number}"]


def head(fields: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n"


def test_the_field_is_read_and_never_passed_on() -> None:
    plain = parse_request_head(head(b""), Limits())
    assert (plain.identity, plain.kept) == (None, b"\r\nHost: x")
    for fields, identity in (
        (b"X-Gateway-Service: a\r\n", b"a"),
        (b"x-gateway-SERVICE:\r\n", b""),
        (b"X-Gateway-Service: a\r\nX-Gateway-Service: b\r\n", b"a, b"),
    ):
        request = parse_request_head(head(fields), Limits())
        assert request.identity == identity
        assert request.kept == b"\r\nHost: x"


def test_another_gateway_is_told_the_service_and_an_application_is_not() -> None:
    request = parse_request_head(head(b"X-Gateway-Service: forged\r\nX-Gateway-Hops: 1\r\n"), Limits())
    sent = request_start(request, b"/x", b"app.demo:80", to_gateway=True, identity=b"demo/app:80;name;0")
    assert sent.endswith(b"\r\nX-Gateway-Hops: 2\r\nX-Gateway-Service: demo/app:80;name;0")
    assert sent.count(b"X-Gateway-Service") == 1
    assert b"Gateway" not in request_start(request, b"/x", b"app.demo:80", to_gateway=False)
