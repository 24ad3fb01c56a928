"""Who serves what is read from a gateway's own account."""

from __future__ import annotations

from dataclasses import replace

import pytest
from platforms.world import leaving_out

from cli.observe.serving import parts_of, route_to
from gateway.core.describe import describe_route
from gateway.core.header_match import Header, Match
from gateway.core.route import Endpoint, Route, WeightedCluster

Priority = tuple[WeightedCluster, ...]


def cluster(name: str, *addresses: str, weight: int = 100) -> WeightedCluster:
    parts = [each.partition(":") for each in addresses]
    endpoints = tuple(Endpoint(host, int(port)) for host, _, port in parts)
    return WeightedCluster(f"default/default/default/{name}", endpoints, weight, remote=name != "cluster-2")


LOCAL = cluster("cluster-2", "10.42.0.9:3000")
NO_LOCAL = cluster("cluster-2")
ONE = cluster("cluster-1", "172.28.0.1:81")
THREE = cluster("cluster-3", "172.28.0.1:83", weight=50)
DRAINED = cluster("cluster-3", "172.28.0.1:83", weight=0)


@pytest.mark.parametrize(
    ("priorities", "ejected", "percents"),
    [
        (((LOCAL,), (ONE, THREE)), [], {"cluster-2": 100}),
        (((NO_LOCAL,), (ONE, THREE)), [], {"cluster-1": 67, "cluster-3": 33}),
        (((NO_LOCAL,), (ONE, THREE)), ["172.28.0.1:81"], {"cluster-3": 100}),
        (((LOCAL, ONE),), [], {"cluster-2": 50, "cluster-1": 50}),
        (((ONE, DRAINED),), [], {"cluster-1": 100}),
        (((NO_LOCAL,),), [], {}),
        (((NO_LOCAL,), (ONE,)), ["172.28.0.1:81"], {"cluster-1": 100}),
    ],
    ids=["local first", "by weight", "ejected", "active active", "drained", "refused", "last resort"],
)
def test_the_shares_in_force(
    priorities: tuple[Priority, ...], ejected: list[str], percents: dict[str, int]
) -> None:
    route = Route("dapr-test/nodeapp", 3000, "nodeapp.dapr-test:3000", "FailOver", priorities)
    found = route_to({"eastWest": [describe_route(route, leaving_out(ejected))]}, ("dapr-test", "nodeapp"))
    assert found is not None
    shown = {part.cluster.rpartition("/")[2]: round(part.percent) for part in found.clusters if part.percent}
    assert shown == percents


def of_backend(name: str, address: str, weight: int) -> WeightedCluster:
    return replace(cluster("cluster-2", address), backend=name, weight=weight)


def test_backends_and_matches_are_told_with_parts_however_small() -> None:
    stable, canary = of_backend("app", "10.42.0.9:3000", 1999), of_backend("canary", "10.42.0.8:3000", 1)
    match = Match((Header("x-canary", "true", None, b"x-canary"),))
    marked = Route("dapr-test/nodeapp", 3000, "", "FailOver", ((canary,), (ONE,)), match=match)
    route = Route(
        "dapr-test/nodeapp", 3000, "nodeapp.dapr-test:3000", "FailOver", ((stable, canary), (ONE,)),
        variants=(marked,),
    )  # fmt: skip
    found = route_to({"eastWest": [describe_route(route)]}, ("dapr-test", "nodeapp"))
    assert found is not None

    def short(key: str) -> str:
        return key.rpartition("/")[2]

    assert parts_of(found.clusters, short) == ["cluster-2 app 99.95 %", "cluster-2 canary 0.05 %"]
    ((headers, shares),) = found.matches
    assert (headers, parts_of(shares, short)) == ("x-canary: true", ["cluster-2 canary 100 %"])


def test_a_gateway_of_an_older_version_knows_no_matches() -> None:
    route = Route("dapr-test/nodeapp", 3000, "nodeapp.dapr-test:3000", "FailOver", ((LOCAL,),))
    described = describe_route(route)
    del described["matches"]
    del described["priorities"][0][0]["backend"]
    found = route_to({"eastWest": [described]}, ("dapr-test", "nodeapp"))
    assert found is not None
    assert (found.matches, found.clusters[0].backend) == ((), "")
