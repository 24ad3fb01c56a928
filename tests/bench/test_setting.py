"""The scene of a comparison is the same for all."""

from __future__ import annotations

import json

import pytest

from bench.setting import CLUSTER, PEERS, gateway_objects, render
from gateway.core.snapshot import compile_snapshot


@pytest.mark.parametrize("routes", [1, 30])
def test_the_gateway_gets_a_route_with_a_policy_for_each_path(routes: int) -> None:
    compiled = compile_snapshot(json.loads(gateway_objects(routes, 8000))["items"], CLUSTER)
    assert compiled.problems == ()
    assert len(compiled.snapshot.path_routes()) == routes
    found = compiled.snapshot.paths.find(b"/service-0/64k")
    assert found is not None
    assert str(found.shares[0].endpoints[0]) == "127.0.0.1:8000"


@pytest.mark.parametrize("name", sorted(path.name for path in PEERS.iterdir()))
def test_a_peers_file_needs_nothing_but_what_it_is_given(name: str) -> None:
    values = {
        "folder": "/f",
        "backend": 1,
        "port": 2,
        "name": "n",
        "nginx_log": "off",
        "haproxy_log_lines": "no log",
    }
    assert "@{" not in render(name, **values)
