"""The scene of a comparison is the same for all."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from bench.proxy import asked
from bench.setting import CLUSTER, PEERS, Bench, gateway_objects, render
from bench.starters import about_peers, haproxy_routes, nginx_routes, peers, traefik_routes
from gateway.core.snapshot import compile_snapshot


class Silence:
    def update(self, text: str) -> None:
        """Nobody reads it."""


@pytest.mark.parametrize("routes", [1, 30])
def test_the_gateway_gets_a_route_with_a_policy_for_each_path(routes: int) -> None:
    compiled = compile_snapshot(json.loads(gateway_objects(routes, 8000))["items"], CLUSTER)
    assert compiled.problems == ()
    assert len(compiled.snapshot.path_routes()) == routes
    found = compiled.snapshot.paths.find(b"/service-0/64k")
    assert found is not None
    assert str(found.clusters[0].endpoints[0]) == "127.0.0.1:8000"


@pytest.mark.parametrize("name", sorted(path.name for path in PEERS.iterdir()))
def test_a_peers_file_needs_nothing_but_what_it_is_given(name: str) -> None:
    numbers = {name: number for number, name in enumerate(("backend", "port", "admin", "one", "two"))}
    words = {"folder": "/f", "name": "n", "path": "/service-0", "nginx_log": "off"}
    lines = {
        "haproxy_log_lines": "no log", "traefik_log_lines": "", "traefik_routers": "    a: {}", "tls": "",
        "tls_lines": "", "traefik_services": "    a: {}",
    }  # fmt: skip
    assert "@{" not in render(name, **numbers, **words, **lines)


@pytest.mark.parametrize("routes", [1, 30])
def test_a_peer_gets_a_service_of_its_own_for_each_path(routes: int) -> None:
    written = render("traefik-routes.yml", **traefik_routes(routes, 8000))
    config = yaml.safe_load(written)["http"]
    assert len(config["routers"]) == len(config["services"]) == routes
    assert config["routers"]["route-0"] == {"rule": "PathPrefix(`/service-0`)", "service": "service-0"}
    assert config["services"]["service-0"]["loadBalancer"]["servers"] == [{"url": "http://127.0.0.1:8000"}]
    for files in (nginx_routes(routes, 8000), haproxy_routes(routes, 8000)):
        services, ways = sorted(text.count(":8000") for text in files.values()), [
            re.findall(r"service-\d+", text) for text in files.values()
        ]  # fmt: skip
        assert services == [0, routes]
        assert [len(set(found)) for found in ways] == [routes, routes]


@pytest.mark.parametrize(("routes", "most", "count"), [(1, 1000, 1), (1000, 1000, 1000), (10_000, 1000, 1000),
                                                       (10_000, 1, 1)])  # fmt: skip
def test_those_asked_for_are_from_all_over_the_routes(routes: int, most: int, count: int) -> None:
    found = asked(routes, most)
    assert (len(found), found[0]) == (count, "/service-0")
    assert found[-1] == f"/service-{routes - routes // count}"


def test_peers_are_named_with_their_version_and_with_the_reason_when_one_is_not_there(tmp_path: Path) -> None:
    nginx = tmp_path / "nginx"
    nginx.write_text("#!/bin/sh\necho nginx version: nginx/1.22.1 >&2\n")
    nginx.chmod(0o755)
    bench = Bench(
        folder=Path("/f"), root=Path("/r"), cache=Path("/c"), gateway=Path("/g"), step=Silence(),
        peers={"nginx": str(nginx)}, absent={"traefik": "Go is needed to build it", "daprd": "no peer"},
    )  # fmt: skip
    assert list(peers(bench)) == ["nginx"]
    assert about_peers(bench) == [
        "Compared with nginx 1.22.1.",
        "Not compared with traefik: Go is needed to build it",
    ]
