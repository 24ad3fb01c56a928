"""Mutual TLS between gateways in the settings."""

from __future__ import annotations

import pytest
from config.conftest import Config
from config.environments import read_environment
from config.test_mistakes import EXISTING, changed, problems, two_existing

from stacks.config import loading
from stacks.config.checks.host import published_ports

STRICT = {"gateway": {"mutualTls": "strict"}}
PORTS = {f"clusters[{n}].peersPort": 8440 + n for n in (1, 2, 3)}
FLOMESH = {"mesh": "flomesh", "versions": "article"}
REGISTRY = {"images": {"registry": "registry.example.org/m"}}


def chosen(config: Config) -> tuple[str | None, list[int | None]]:
    """How gateways talk, and where those of each cluster are reached over TLS."""
    settings = loading.parse(config)
    return settings.gateway.mutual_tls, [cluster.peers_port for cluster in settings.clusters]


def test_gateways_of_clusters_that_are_made_here_talk_over_tls_without_being_told(dev: Config) -> None:
    assert chosen(dev) == ("permissive", [None, 20081, 20082, 20083])
    assert chosen(changed(dev, STRICT)) == ("strict", [None, 20081, 20082, 20083])
    assert chosen(changed(dev, PORTS)) == ("permissive", [None, 8441, 8442, 8443])
    said = changed(dev, {"gateway": {"mutualTls": False}})
    assert chosen(said) == ("off", [None, 20081, 20082, 20083]), "as YAML reads off"


def test_gateways_talk_plainly_where_nobody_says_how_a_member_is_reached_over_tls(dev: Config) -> None:
    one = {"clusters[1]": {"name": "cluster-1", **EXISTING}, **REGISTRY}
    assert chosen(changed(dev, one)) == ("off", [None, None, 20082, 20083])
    assert not problems(changed(dev, {**one, "gateway": {"mutualTls": "permissive"}})), "one after another"
    said = changed(dev, {**one, "clusters[1].peersPort": 30443})
    assert chosen(said)[0] == "permissive"
    assert chosen(read_environment("article")) == ("off", [None] * 4), "FSM's gateways have no such thing"
    high = changed(dev, {"clusters[1].httpPort": 45_535, "clusters[2].httpPort": 45_536})
    assert chosen(high) == ("off", [None, 65_535, None, 20083]), "there is no such port"


def test_two_environments_whose_ports_differ_do_not_meet(dev: Config) -> None:
    others = loading.parse(read_environment("scale")).clusters
    here = {port for cluster in loading.parse(dev).clusters for port in published_ports(cluster).values()}
    assert not here & {port for cluster in others for port in published_ports(cluster).values()}


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        (
            {**STRICT, "clusters[3]": {"name": "cluster-3", **EXISTING}, **REGISTRY},
            "clusters[3].peersPort: missing for cluster-3, and gateway.mutualTls is strict: nobody could",
        ),
        (
            {"clusters[2].httpPort": 20081},
            "clusters[2].httpPort = 20081: clusters[1].peersPort has the same port.",
        ),
        (
            {"clusters[1].peersPort": 20082},
            "clusters[2].peersPort = 20082: clusters[1].peersPort has the same port.",
        ),
        (
            {"clusters[0].peersPort": 8440},
            "clusters[0].peersPort = 8440: has no meaning for the control plane, whose gateway no",
        ),
        (
            {**FLOMESH, "clusters[1].peersPort": 8441},
            "clusters[1].peersPort = 8441: has no meaning for FSM's gateways. Remove it",
        ),
        (
            {**FLOMESH, "gateway": {"mutualTls": "permissive"}},
            "gateway.mutualTls = 'permissive': has no meaning for FSM's gateways. Remove it",
        ),
        (
            {"clusters[1].peersPort": 81},
            "clusters[1].peersPort = 81: clusters[1].httpPort has the same port.",
        ),
        (
            {"clusters[1]": {"name": "cluster-1", **EXISTING, "peersPort": 30080}, **REGISTRY},
            "clusters[1].peersPort = 30080: is gatewayPort as well.",
        ),
        (
            {"clusters[1]": {"name": "cluster-1", **EXISTING, "peersPort": 443}, **REGISTRY},
            "clusters[1].peersPort = 443: and gatewayPort 30080 are of one Service: only one is a node port.",
        ),
        (
            {**two_existing(context="two", gatewayPort=30081, peersPort=30080), **REGISTRY},
            "clusters[2].peersPort = '192.0.2.1:30080': cluster-1 has its gateway there.",
        ),
        # The next one would come too late: a kubelet takes minutes to bring it.
        ({"gateway": {"certificateHours": 0.25}}, "gateway.certificateHours = 0.25: "),
        (
            {"gateway": {"certificateHours": 48, "rootDays": 7}},
            "gateway.certificateHours = 48: is more than a quarter of gateway.rootDays, which is 7.",
        ),
    ],
)
def test_what_cannot_be_is_named(dev: Config, changes: Config, mistake: str) -> None:
    found = [problem.replace(" = 48.0:", " = 48:") for problem in problems(changed(dev, changes))]
    assert any(problem.startswith(mistake) for problem in found), found


def test_a_cluster_that_exists_has_two_node_ports_or_none(dev: Config) -> None:
    for ports in ({"gatewayPort": 30080, "peersPort": 30443}, {"gatewayPort": 80, "peersPort": 443}):
        found = problems(
            changed(dev, {"clusters[1]": {"name": "cluster-1", **EXISTING, **ports}, **REGISTRY})
        )
        assert not [problem for problem in found if "peersPort" in problem]
