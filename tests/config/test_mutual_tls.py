"""Mutual TLS between gateways in the settings."""

from __future__ import annotations

import pytest
from config.conftest import Config
from config.test_mistakes import EXISTING, changed, problems, two_existing

from stacks.config import loading

STRICT = {"gateway": {"mutualTls": "strict"}}
PORTS = {f"clusters[{n}].peersPort": 8440 + n for n in (1, 2, 3)}
FLOMESH = {"mesh": "flomesh", "versions": "article"}
REGISTRY = {"images": {"registry": "registry.example.org/m"}}


def test_gateways_talk_plainly_unless_they_are_told(dev: Config) -> None:
    assert loading.parse(dev).gateway.mutual_tls == "off"
    said = changed(dev, {"gateway": {"mutualTls": False}})
    assert loading.parse(said).gateway.mutual_tls == "off", "as YAML reads off"
    assert loading.parse(changed(dev, {**STRICT, **PORTS})).gateway.mutual_tls == "strict"
    assert not problems(changed(dev, {"gateway": {"mutualTls": "permissive"}})), "one cluster after another"


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        (
            {**STRICT, "clusters[1].peersPort": 8441, "clusters[2].peersPort": 8442},
            "clusters[3].peersPort: missing for cluster-3, and gateway.mutualTls is strict: nobody could",
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
        # It begins a quarter of an hour before it is made: half of its time would be over.
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
