"""Services as the controller leaves them are what the commands take them for."""

from __future__ import annotations

from typing import Any

import pytest
from platforms.world import APP_POD, GATEWAY_POD, SERVICE, Cluster, World

from cli.observe.services import (
    is_beside,
    is_derived,
    is_taken_over,
    listed_addresses,
    local_service,
    own_addresses,
    pod_addresses,
    selector_of,
)
from cli.observe.view import ClusterView, key_of
from gateway.kube.actions import Action
from gateway.kube.derived import reconcile
from gateway.kube.slices import Gateways

MADE = ("nodeapp", "nodeapp-local", "nodeapp-clusterset")


def controlled(cluster: Cluster, gateways: tuple[str, ...], *, takes_over: bool = True) -> list[Action]:
    """What the controller of a cluster still writes."""
    kept = {
        kind: {key_of(obj): obj for obj in cluster.objects.get(kind, [])}
        for kind in ("ServiceImport", "Service", "EndpointSlice")
    }
    return list(
        reconcile(
            kept["ServiceImport"],
            kept["Service"],
            kept["EndpointSlice"],
            Gateways(gateways, 15080),
            leaves=lambda _: True,
            takes_over=lambda _: takes_over,
        )
    )


def looked_at(world: World) -> ClusterView:
    return world.platform().cluster("cluster-1")


def test_the_world_of_the_tests_is_one_that_the_controller_makes() -> None:
    """It has nothing to make, remove, take or give; owners and the like, which nobody here reads, aside."""
    world = World()
    actions = controlled(world.take_over(), (GATEWAY_POD,))
    assert {action.verb for action in actions} <= {"merge"}
    assert not [action for action in actions if action.key == SERVICE and action.resource.kind == "Service"]


def test_services_that_the_controller_made_are_not_the_users() -> None:
    world = World()
    world.take_over()
    view = looked_at(world)
    found = {name: local_service(view, (SERVICE[0], name)) is not None for name in MADE}
    assert found == {"nodeapp": True, "nodeapp-local": False, "nodeapp-clusterset": False}


def test_what_the_controller_writes_is_read_as_what_it_is() -> None:
    world = World()
    cluster = world["cluster-1"]
    actions = controlled(cluster, (GATEWAY_POD,))
    for action in actions:
        assert action.verb == "create"
        cluster.add(action.resource.kind, dict(action.body))
    view = looked_at(world)
    assert [is_beside(service) for service in view.all("Service")] == [False, False, True]
    assert [is_derived(service) for service in view.all("Service")] == [False, True, False]
    assert listed_addresses(view, SERVICE) == {GATEWAY_POD}
    assert own_addresses(view, SERVICE) == pod_addresses(view, SERVICE) == {APP_POD}


def test_a_service_is_taken_over_from_when_its_selector_is_in_the_annotation_alone() -> None:
    world = World()
    cluster = world["cluster-1"]
    for action in controlled(cluster, (GATEWAY_POD,)):
        cluster.add(action.resource.kind, dict(action.body))
    beside: dict[str, Any] = {
        "metadata": {"namespace": SERVICE[0], "name": "nodeapp-local-y"},
        "endpoints": [{"addresses": [APP_POD]}],
    }
    beside["metadata"]["labels"] = {
        "kubernetes.io/service-name": "nodeapp-local",
        "multicluster.flomesh.io/local-of": "nodeapp",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    cluster.add("EndpointSlice", beside)
    (taking,) = (action for action in controlled(cluster, (GATEWAY_POD,)) if action.takes_over)
    service = cluster.get("Service", "nodeapp")
    before = selector_of(service)
    assert not is_taken_over(service)
    service["metadata"]["annotations"] = taking.body["metadata"]["annotations"]
    assert not is_taken_over(service)
    del service["spec"]["selector"]
    assert is_taken_over(service)
    assert selector_of(service) == before == {"app": "node"}
    cluster.drop("EndpointSlice", "nodeapp-x")
    assert own_addresses(looked_at(world), SERVICE) == set()
    assert pod_addresses(looked_at(world), SERVICE) == {APP_POD}


@pytest.mark.parametrize("gateways", [(GATEWAY_POD,), ()], ids=["a gateway is ready", "none is"])
def test_the_slice_lists_gateways_or_the_local_pods_in_their_place(gateways: tuple[str, ...]) -> None:
    world = World()
    cluster = world.take_over()
    for action in controlled(cluster, gateways):
        if action.resource.kind == "EndpointSlice":
            cluster.drop("EndpointSlice", action.key[1])
            cluster.add("EndpointSlice", dict(action.body))
    assert listed_addresses(looked_at(world), SERVICE) == {GATEWAY_POD if gateways else APP_POD}
