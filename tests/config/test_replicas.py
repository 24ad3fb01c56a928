"""How many pods gateways and the hub have."""

from __future__ import annotations

from stacks.config.gateway import GatewaySettings


def test_two_where_nodes_are_drained_by_others_one_where_they_are_ours() -> None:
    plain, said = GatewaySettings(), GatewaySettings(replicas=3, hub_replicas=1)
    assert [plain.replicas_in("k3d"), plain.replicas_in("existing"), said.replicas_in("existing")] == [
        1,
        2,
        3,
    ]
    assert [plain.hub_replicas_in("k3d"), plain.hub_replicas_in("existing")] == [1, 2]
    assert said.hub_replicas_in("existing") == 1
