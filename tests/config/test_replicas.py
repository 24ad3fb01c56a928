"""What gateways and the hub have where nothing is said: pods, and who reads their pages."""

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


def test_admin_pages_are_kept_from_others_where_the_api_server_is_on_the_pods_node() -> None:
    plain, said = GatewaySettings(), GatewaySettings(admin_from=("192.0.2.0/24",))
    assert [plain.admin_from_in("k3d"), plain.admin_from_in("existing")] == [(), None]
    assert [said.admin_from_in("k3d"), said.admin_from_in("existing")] == [("192.0.2.0/24",)] * 2
