"""What is wrong with an object is said, and never takes anything else down."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.objects import DERIVED
from gateway.core.problem import Problem
from gateway.core.services import add_slice, read_service
from gateway.core.snapshot import compile_snapshot

HERE = "default/default/default/here"


def problems(*objects: Any, front_door: bool = False) -> set[tuple[str, str, str]]:
    found = compile_snapshot(objects, HERE, front_door).problems
    return {(problem.kind, problem.name, problem.reason) for problem in found}


def test_good_objects_have_no_problems(make: Any) -> None:
    assert not problems(
        make.service(),
        make.slice("10.0.0.1"),
        make.export(),
        make.imported(c1=81),
        make.policy("FailOver", c1=1),
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rules": None}, "NoRules"),
        ({"rules": [{"path": "app", "pathType": "Prefix", "portNumber": 3000}]}, "InvalidPath"),
        ({"rules": [{"path": "/a?b", "pathType": "Prefix", "portNumber": 3000}]}, "InvalidPath"),
        ({"rules": [{"path": "/a", "pathType": "Regex", "portNumber": 3000}]}, "InvalidPathType"),
        ({"rules": [{"path": "/a", "pathType": "Exact", "portNumber": 1}]}, "PortNotFound"),
        ({"rules": [{"path": "/a", "pathType": "Exact", "portNumber": "x"}]}, "InvalidPort"),
        ({"rules": "x"}, "Invalid"),
        ({"loadBalancer": "Random"}, "InvalidLoadBalancer"),
        ({"pathRewrite": {"from": "(", "to": "/"}}, "InvalidRewrite"),
        ({"pathRewrite": {"from": "a", "to": "$7"}}, "InvalidRewrite"),
    ],
)
def test_a_bad_export_is_named_and_the_good_one_is_served(
    make: Any, changes: dict[str, Any], reason: str
) -> None:
    objects = [make.service(), make.service("bad"), make.export(), make.export("bad", "/bad", **changes)]
    assert problems(*objects) == {("ServiceExport", "bad", reason)}
    snapshot = compile_snapshot(objects, HERE).snapshot
    assert snapshot.paths.find(b"/app") is not None
    assert snapshot.paths.find(b"/bad") is None


def test_exports_need_a_service_with_endpoints_of_its_own(make: Any) -> None:
    assert problems(make.export()) == {("ServiceExport", "app", "ServiceNotFound")}
    assert problems(make.service(type="ExternalName"), make.export()) == {
        ("ServiceExport", "app", "ExternalName")
    }


def test_of_two_exports_with_one_path_the_older_is_served(make: Any) -> None:
    old, new = make.export("old", "/app"), make.export("new", "/app/")
    old["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    new["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
    objects = [make.service("old"), make.service("new"), new, old]
    assert problems(*objects) == {("ServiceExport", "new", "PathConflict")}
    route = compile_snapshot(objects, HERE).snapshot.paths.find(b"/app")
    assert route is not None
    assert route.service == "demo/old"


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"lbType": "Random"}, "InvalidLbType"),
        ({"lbType": "FailOver", "targets": [{"clusterKey": "c1"}]}, "InvalidClusterKey"),
        (
            {
                "lbType": "ActiveActive",
                "targets": [{"clusterKey": "default/default/default/c1", "weight": -1}],
            },
            "InvalidWeight",
        ),
        (
            {"lbType": "ActiveActive", "targets": [{"clusterKey": "default/default/default/nope"}]},
            "UnknownTarget",
        ),
        (
            {"lbType": "ActiveActive", "targets": [{"clusterKey": "default/default/default/c1"}] * 2},
            "DuplicateTarget",
        ),
        (
            {
                "lbType": "Locality",
                "targets": [
                    {"clusterKey": "default/default/default/c1"},
                    {"clusterKey": "default/default/default/c3"},
                ],
            },
            "InvalidTargets",
        ),
        ({"lbType": "FailOver", "targets": "c1"}, "Invalid"),
    ],
)
def test_what_is_wrong_with_a_policy_is_named(make: Any, spec: dict[str, Any], reason: str) -> None:
    policy = make.policy("Locality")
    policy["spec"] = spec
    assert ("GlobalTrafficPolicy", "app", reason) in problems(make.imported(c1=81, c3=83), policy)


def test_a_policy_of_a_service_that_is_nowhere_says_so(make: Any) -> None:
    policy = make.policy("FailOver", c1=1)
    (problem,) = compile_snapshot([policy], HERE).problems
    assert problem == Problem(
        "GlobalTrafficPolicy", "demo", "app", "TargetNotFound",
        "there is no Service demo/app here, and no other cluster exports one",
    )  # fmt: skip
    for found in (make.service(), make.export(), make.imported(c1=81)):
        assert ("GlobalTrafficPolicy", "app", "TargetNotFound") not in problems(found, policy)


def test_a_bad_import_endpoint_leaves_the_others(make: Any) -> None:
    imported = make.imported(c1=81, c3=83)
    imported["spec"]["ports"][0]["endpoints"][0]["target"]["ip"] = "not an address"
    objects = [imported, make.policy("ActiveActive")]
    assert problems(*objects) == {("ServiceImport", "app", "InvalidAddress")}
    route = compile_snapshot(objects, HERE).snapshot.hosts.find(b"app.demo:3000")
    assert route is not None
    assert [cluster.key[-2:] for cluster in route.clusters if cluster.remote] == ["c3"]


def test_ports_of_an_import_have_paths_of_their_own(make: Any) -> None:
    imported = make.imported(port=80, path="/web", c1=81)
    imported["spec"]["ports"] += make.imported(port=9000, path="/admin", c1=81)["spec"]["ports"]
    hosts = compile_snapshot([imported, make.policy("ActiveActive")], HERE).snapshot.hosts
    found = {}
    for host in (b"app.demo", b"app.demo:80", b"app.demo:9000"):
        route = hosts.find(host)
        assert route is not None
        found[host] = [cluster.prefix for cluster in route.clusters if cluster.remote]
    assert found == {b"app.demo": [b"/web"], b"app.demo:80": [b"/web"], b"app.demo:9000": [b"/admin"]}


def test_derived_services_are_not_local_endpoints(make: Any) -> None:
    service, endpoints = make.service(), make.slice("10.0.0.9")
    for raw in (service, endpoints):
        raw["metadata"].setdefault("labels", {}).update(DERIVED)
    endpoints["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] = "multicluster-gateway"
    snapshot = compile_snapshot(
        [service, endpoints, make.imported(c1=81), make.policy("FailOver")], HERE
    ).snapshot
    route = snapshot.hosts.find(b"app.demo:3000")
    assert route is not None
    assert [cluster.remote for cluster in route.clusters if cluster.endpoints] == [True]


def test_a_derived_service_that_got_a_selector_is_a_local_service_at_once(make: Any) -> None:
    """Before its label is taken off, and from the slices to which Kubernetes has copied that label."""
    service, endpoints = make.service(selector={"app": "app"}), make.slice("10.0.0.9")
    for raw in (service, endpoints):
        raw["metadata"].setdefault("labels", {}).update(DERIVED)
    endpoints["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] = (
        "endpointslice-controller.k8s.io"
    )
    route = compile_snapshot([service, endpoints, make.export()], HERE).snapshot.paths.find(b"/app")
    assert route is not None
    assert [str(endpoint) for endpoint in route.clusters[0].endpoints] == ["10.0.0.9:3000"]


def test_only_ready_endpoints_of_the_named_port_count(make: Any) -> None:
    service = make.service(ports={3000: "http", 9000: "admin"})
    objects = [
        service,
        make.slice("10.0.0.1"),
        make.slice("10.0.0.2", port=9001, label="admin"),
        make.slice("10.0.0.3", port=3001, ready=False),
        make.slice("10.0.0.4", port=3002, terminating=True, ready=True),
        make.export(),
    ]
    route = compile_snapshot(objects, HERE).snapshot.paths.find(b"/app")
    assert route is not None
    assert [str(endpoint) for endpoint in route.clusters[0].endpoints] == ["10.0.0.1:3000"]


def test_the_front_door_reaches_any_exporter_on_the_path_it_serves(make: Any) -> None:
    objects = [make.imported(c1=81, c3=83)]
    assert compile_snapshot(objects, HERE).snapshot.paths.find(b"/app/x") is None
    route = compile_snapshot(objects, HERE, front_door=True).snapshot.paths.find(b"/app/x")
    assert route is not None
    assert [
        (str(cluster.endpoints[0]), cluster.target(b"/app/x"))
        for cluster in route.clusters
        if cluster.endpoints
    ] == [
        ("127.0.0.1:81", b"/app/x"),
        ("127.0.0.1:83", b"/app/x"),
    ]


def test_a_locally_exported_path_joins_the_front_door(make: Any) -> None:
    objects = [make.service(), make.slice("10.0.0.1"), make.export(), make.imported(c1=81)]
    route = compile_snapshot(objects, HERE, front_door=True).snapshot.paths.find(b"/app")
    assert route is not None
    assert sorted(cluster.remote for cluster in route.clusters if cluster.endpoints) == [False, True]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "metadata",
                    "spec",
                    "rules",
                    "ports",
                    "endpoints",
                    "target",
                    "name",
                    "namespace",
                    "labels",
                    "path",
                    "port",
                    "clusterKey",
                    "targets",
                    "weight",
                    "lbType",
                    "addresses",
                    "conditions",
                    "pathRewrite",
                    "from",
                    "to",
                    "ip",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["Service", "EndpointSlice", "ServiceExport", "ServiceImport", "GlobalTrafficPolicy", "Pod"]
            ),
            st.dictionaries(st.sampled_from(["spec", "endpoints", "ports", "addressType"]), JSON, max_size=4),
            JSON,
        ),
        max_size=5,
    )
)
def test_no_object_can_crash_the_compiler_or_take_down_a_good_route(
    rough: list[tuple[str, Any, Any]],
) -> None:
    objects: list[Any] = [{"kind": kind, "metadata": metadata, **fields} for kind, fields, metadata in rough]
    good = [
        {"kind": "Service", "metadata": {"name": "ok", "namespace": "ok"}, "spec": {"ports": [{"port": 1}]}},
        {
            "kind": "ServiceExport",
            "metadata": {"name": "ok", "namespace": "ok", "creationTimestamp": "2000"},
            "spec": {"rules": [{"path": "/good", "pathType": "Exact", "portNumber": 1}]},
        },
    ]
    route = compile_snapshot([*objects, *good], HERE, front_door=True).snapshot.paths.find(b"/good")
    assert route is not None


@pytest.mark.parametrize("junk", [[], {}, 3, [[]]], ids=repr)
@pytest.mark.parametrize("field", ["lbType", "loadBalancer", "pathType"])
def test_a_choice_that_is_no_word_is_a_problem_and_no_accident(field: str, junk: object) -> None:
    rule = {"path": "/", "pathType": "Prefix", "portNumber": 1}
    spec: dict[str, object] = {"rules": [rule | ({"pathType": junk} if field == "pathType" else {})]}
    if field == "loadBalancer":
        spec["loadBalancer"] = junk
    named = {"metadata": {"name": "a", "namespace": "n"}}
    objects = [
        {"kind": "Service", **named, "spec": {"ports": [{"port": 1}]}},
        {"kind": "ServiceExport", **named, "spec": spec},
        {
            "kind": "GlobalTrafficPolicy",
            **named,
            "spec": {"lbType": junk if field == "lbType" else "Locality"},
        },
    ]
    problems = compile_snapshot(objects, "r/z/g/c").problems
    if junk or field in {"pathType", "lbType"}:  # an empty loadBalancer is one not given
        assert [problem.message.split(" ")[0].rsplit(".")[-1] for problem in problems] == [field]


def test_a_snapshot_knows_its_routes_and_their_equals(make: Any) -> None:
    objects = [make.service(), make.slice("10.0.0.1"), make.export(), make.imported("other", c1=81)]
    before, again = (compile_snapshot(objects, make.key("here")).snapshot for _ in range(2))
    routes = [*before.path_routes(), *before.host_routes()]
    assert len(routes) == 3
    assert all(again.holds(route) for route in routes)
    changed = compile_snapshot([make.service(), make.export("app", "/app/")], make.key("here")).snapshot
    assert not any(changed.holds(route) for route in routes), "no pod, and one service less"


def test_a_policy_that_is_being_deleted_counts_as_none(make: Any) -> None:
    policy = make.policy("ActiveActive")
    assert compile_snapshot([make.imported(c1=81), policy], HERE).snapshot.leaves_cluster(("demo", "app"))
    policy["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert not compile_snapshot([make.imported(c1=81), policy], HERE).snapshot.leaves_cluster(("demo", "app"))


def test_a_faulty_import_is_named_part_by_part(make: Any) -> None:
    faulty = make.imported(c1=81)
    faulty["spec"]["ports"] = "x"
    assert problems(faulty) == {("ServiceImport", "app", "Invalid")}
    faulty["spec"]["ports"] = [{"port": 0}, {"port": 3000, "endpoints": "x"}]
    assert problems(faulty) == {("ServiceImport", "app", "InvalidPort"), ("ServiceImport", "app", "Invalid")}
    twice = make.imported(c1=81, here=82)
    twice["spec"]["ports"][0]["endpoints"] *= 2
    assert problems(twice) == {("ServiceImport", "app", "DuplicateEndpoint")}


def test_a_path_of_the_front_door_belongs_to_the_first_service(make: Any) -> None:
    two = make.imported("app", c1=81), make.imported("other", c3=83)
    assert problems(*two, front_door=True) == {("ServiceImport", "other", "PathConflict")}
    ports = make.imported("app", c1=81)
    ports["spec"]["ports"] *= 2
    ports["spec"]["ports"][1] = {**ports["spec"]["ports"][1], "port": 4000}
    assert not problems(ports, front_door=True), "two ports of one service may share a path"


def test_a_snapshot_holds_the_routes_that_it_serves(make: Any) -> None:
    objects = [make.service(), make.export(), make.export("exact", "/exact", "Exact"), make.service("exact")]
    snapshot = compile_snapshot([*objects, make.imported("far", c1=81)], HERE, front_door=True).snapshot
    routes = [*snapshot.path_routes(), *snapshot.host_routes()]
    assert len(routes) > 3
    assert all(snapshot.holds(route) for route in routes)
    other = compile_snapshot([], HERE).snapshot
    assert not any(other.holds(route) for route in routes)


def test_a_slice_that_cannot_be_read_is_named(make: Any) -> None:
    assert problems(make.service(), make.slice("nowhere")) == {
        ("EndpointSlice", "app-3000-http", "InvalidAddress")
    }


def test_a_port_a_service_has_not_has_no_endpoints(make: Any) -> None:
    service = read_service(make.service())
    add_slice(service, make.slice("10.0.0.1"))
    assert [endpoint.host for endpoint in service.endpoints(3000)] == ["10.0.0.1"]
    assert service.endpoints(4000) == ()


def test_objects_of_others_are_left_alone(make: Any) -> None:
    assert not problems({"kind": "ConfigMap", "metadata": {"name": "app"}}, make.service())


def test_clusters_with_paths_of_their_own_have_routes_of_their_own(make: Any) -> None:
    imported = make.imported(c1=81, c3=83)
    imported["spec"]["ports"][0]["endpoints"][1]["target"]["path"] = "/other"
    snapshot = compile_snapshot([imported], HERE, front_door=True).snapshot
    found = {
        path: [cluster.key for priority in route.priorities for cluster in priority if cluster.endpoints]
        for path in (b"/app", b"/other")
        if (route := snapshot.paths.find(path))
    }
    assert found == {b"/app": [make.key("c1")], b"/other": [make.key("c3")]}


@pytest.mark.parametrize("name", ["\ud800", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"])
def test_a_name_that_no_api_server_gives_is_named_and_costs_nobody_else(make: Any, name: str) -> None:
    """Files may hold it; no Host is such."""
    odd = make.service(name=name, clusterIP="10.43.0.9")
    compiled = compile_snapshot([odd, make.service(), make.export()], HERE)
    assert [problem.reason for problem in compiled.problems] == ["InvalidName"]
    assert compiled.snapshot.hosts.find(b"app.demo") is not None
