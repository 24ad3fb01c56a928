"""Every name a service is called by leads to it, and no name to anybody else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.hosts import NAMED_AT_MOST, HostTable, host_table
from gateway.core.objects import DERIVED
from gateway.core.route import Route
from gateway.core.snapshot import compile_snapshot

HERE = "default/default/default/here"


def table(*objects: Any, **options: Any) -> HostTable:
    return compile_snapshot(objects, HERE, **options).snapshot.hosts


def found(hosts: HostTable, host: str) -> str | None:
    route = hosts.find(host.encode())
    return None if route is None else f"{route.service}:{route.port}"


def in_namespace(obj: Any, namespace: str) -> Any:
    return {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}


NAMES = ["app.demo", "app.demo.svc", "app.demo.svc.cluster.local", "app.demo.svc.clusterset.local", "app"]


@pytest.mark.parametrize("end", ["", ":3000", ".", ".:3000", ":"])
@pytest.mark.parametrize(
    "name", [*NAMES, "APP.Demo", "App", *(n.replace("app", "app-clusterset") for n in NAMES)]
)
def test_every_form_of_a_services_name_is_its_host(make: Any, name: str, end: str) -> None:
    assert found(table(make.imported(c1=81)), name + end) == "demo/app:3000"


def test_a_name_without_a_port_means_port_80_or_else_the_lowest(make: Any) -> None:
    both = make.service(ports={8080: "b", 80: "a", 79: "c"}), make.export(port=80)
    assert [found(table(*both), host) for host in ("app", "app:79", "app:080", "app:81")] == [
        "demo/app:80", "demo/app:79", None, None,
    ]  # fmt: skip
    assert (
        found(table(make.service(ports={8080: "b", 3000: "a"}), make.export()), "app.demo") == "demo/app:3000"
    )


@pytest.mark.parametrize(
    "host",
    ["app.demo:80", "app.other", "x.app.demo", "", ":3000", "app.demo.svc.cluster", "app.svc", "demo",
     "[app]", "[abc]", "[10.43.0.7]",
     "app.svc.cluster.local", "a.app.demo.svc", "app.demo.svc.svc", "app.demo.svc.clusterset.local.svc"],
)  # fmt: skip
def test_other_hosts_are_unknown(make: Any, host: str) -> None:
    assert found(table(make.imported(c1=81)), host) is None


def test_the_clusters_domain_is_the_one_it_was_told(make: Any) -> None:
    hosts = table(make.imported(c1=81), cluster_domain="k8s.Example.org")
    assert found(hosts, "app.demo.svc.k8s.example.org:3000") == "demo/app:3000"
    assert found(hosts, "app.demo.svc.cluster.local:3000") is None


def test_a_cluster_ip_is_a_host_of_its_service_and_of_the_service_that_is_called(make: Any) -> None:
    derived = make.service("app-clusterset", clusterIP="10.43.0.8", clusterIPs=["10.43.0.8", "fd00:0::8"])
    derived["metadata"]["labels"] = DERIVED
    headless = make.service("app-local", clusterIP="None", clusterIPs=["None"])
    service = make.service(clusterIP="10.43.0.7")
    hosts = table(
        service, derived, headless, make.service("far", clusterIP="10.43.0.9"), make.imported(c1=81)
    )
    for host in ("10.43.0.7", "10.43.0.7:3000", "10.43.0.8:3000", "[fd00::8]", "[FD00:0:0::8]:3000"):
        assert found(hosts, host) == "demo/app:3000", host
    for host in ("10.43.0.9", "10.43.0.7:80", "[fd00::9]:3000", "fd00::8", "None", "[None]"):
        assert found(hosts, host) is None, host


@pytest.mark.parametrize("ips", [7, ["x"], [7], {"a": 1}])
def test_a_cluster_ip_that_is_none_is_named_and_the_service_stays(make: Any, ips: object) -> None:
    compiled = compile_snapshot([make.service(clusterIPs=ips), make.export()], HERE)
    assert [(problem.kind, problem.name) for problem in compiled.problems] == [("Service", "app")]
    assert found(compiled.snapshot.hosts, "app.demo") == "demo/app:3000"


def test_a_name_that_two_services_have_leads_to_neither_and_says_so(make: Any) -> None:
    hosts = table(make.imported(c1=81), in_namespace(make.imported(c1=81), "shop"))
    assert found(hosts, "app") is None
    assert (found(hosts, "app.shop"), found(hosts, "app.demo")) == ("shop/app:3000", "demo/app:3000")
    message = "app is the name of several services of this cluster: use one of app.demo, app.shop"
    assert hosts.ambiguity(b"App:3000") == message
    assert hosts.ambiguity(b"app.demo") == hosts.ambiguity(b"other") == ""


def test_of_many_services_with_one_name_some_are_listed(make: Any) -> None:
    hosts = table(*(in_namespace(make.imported(c1=81), f"n{number}") for number in range(NAMED_AT_MOST + 3)))
    assert hosts.ambiguity(b"app").endswith("app.n0, app.n1, app.n2, app.n3, app.n4 and 3 more")


def test_a_services_own_name_comes_before_the_name_made_for_another(make: Any) -> None:
    hosts = table(make.imported(c1=81), make.imported("app-clusterset", c1=81))
    assert found(hosts, "app-clusterset.demo") == "demo/app-clusterset:3000"
    assert found(hosts, "app-clusterset") == "demo/app-clusterset:3000"
    assert found(hosts, "app-clusterset-clusterset.demo") == "demo/app-clusterset:3000"


@pytest.mark.parametrize(
    ("namespace", "name"), [("svc", "app.demo"), ("demo.svc", "app"), ("demo", "App"), ("", "-")]
)
def test_an_import_whose_name_is_no_services_takes_nobodys_host(make: Any, namespace: str, name: str) -> None:
    odd = in_namespace(make.imported(name, c1=99), namespace)
    compiled = compile_snapshot([make.imported(c1=81), odd], HERE)
    problem = next(problem for problem in compiled.problems if problem.reason == "InvalidName")
    assert problem.name == name
    assert "lower-case letters" in problem.message
    hosts = compiled.snapshot.hosts
    for host in ("app.demo.svc:3000", "app.demo:3000", "app:3000"):
        assert found(hosts, host) == "demo/app:3000", host
    assert found(hosts, "app.demo.svc.svc:3000") is None


def test_a_service_with_a_dot_in_its_name_has_no_host(make: Any) -> None:
    """An API server refuses such a name, a file may have it."""
    hosts = table(make.service(), make.export(), make.service("app.demo"), make.export("app.demo", "/x"))
    assert found(hosts, "app.demo") == found(hosts, "app") == "demo/app:3000"


LABELS = st.sampled_from(["app", "svc", "a", "clusterset", "app-clusterset", "cluster", "local", "10"])


@given(st.sets(st.tuples(LABELS, LABELS), min_size=1, max_size=6))
def test_no_set_of_names_lets_one_service_take_anothers(names: set[tuple[str, str]]) -> None:
    routes = [
        Route(f"{namespace}/{name}", 80, f"{name}.{namespace}:80", "Locality", ())
        for name, namespace in names
    ]
    hosts = host_table(routes, {})
    for name, namespace in names:
        for suffix in ("", ".svc", ".svc.cluster.local", ".svc.clusterset.local"):
            assert found(hosts, f"{name}.{namespace}{suffix}") == f"{namespace}/{name}:80"
        short = found(hosts, name)
        assert short in {None, f"{namespace}/{name}:80"}
        assert (short is None) == bool(hosts.ambiguity(name.encode()))
    assert hosts.routes() == sorted(routes, key=lambda route: route.service)
