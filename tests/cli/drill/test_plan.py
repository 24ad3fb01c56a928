"""What a drill takes away of a platform in memory, and whose calls it follows."""

from __future__ import annotations

from typing import Any

import pytest
from platforms.world import SERVICE, World, workload

from cli.drill.losses import Denied, Filtered, Scaled, Stopped
from cli.drill.plan import Plan, plan
from cli.drill.wanted import Wanted, path, rate, seconds
from cli.errors import UserError

NODEAPP = "dapr-test/nodeapp:3000"
EXISTING = {
    "source": "existing", "kubeconfig": "~/.kube/config", "context": "x", "gatewayHost": "192.0.2.7",
    "gatewayPort": 30080, "apiPort": None, "httpPort": None,
}  # fmt: skip


def planned(world: World, lose: str, **more: Any) -> Plan:
    return plan(world.platform(), Wanted(lose=lose, seconds=60, rate=50, **more))


def refusal(world: World, lose: str, **more: Any) -> str:
    with pytest.raises(UserError) as error:
        planned(world, lose, **more)
    return str(error.value)


def with_cluster(name: str, **changes: Any) -> World:
    world = World()
    (entry,) = [entry for entry in world.config["clusters"] if entry["name"] == name]
    entry.update(changes)
    if changes.get("source") == "existing":
        world.config["images"] = {"registry": "registry.example.org/multicluster"}
    return world


def test_calls_of_every_cluster_that_is_served_are_followed() -> None:
    found = planned(World(), "cluster-1", path="/ports")
    assert {one.cluster: dict(one.urls) for one in found.calls} == {
        "cluster-2": {NODEAPP: "http://nodeapp.dapr-test:3000/ports"},
        "cluster-3": {NODEAPP: "http://nodeapp.dapr-test:3000/ports"},
    }
    assert found.left_out == (f"control-plane: nobody serves {NODEAPP}", "cluster-1: its pods go with it")
    by_name = {one.cluster: one for one in found.calls}
    assert by_name["cluster-2"].serving == {("cluster-1", NODEAPP): 50, ("cluster-3", NODEAPP): 50}
    assert (by_name["cluster-2"].local, by_name["cluster-3"].local) == (frozenset(), {NODEAPP})


def test_a_lost_k3d_cluster_has_its_containers_killed() -> None:
    found = planned(World(), "cluster-1")
    assert found.losses == (Stopped(cluster="cluster-1", containers=("k3d-cluster-1-server-0",)),)
    assert found.pairs == {("cluster-2", "cluster-1"), ("cluster-3", "cluster-1")}


def test_what_was_not_read_of_a_lost_cluster_is_not_taken_for_absent() -> None:
    world = World()
    world["cluster-1"].not_telling("Deployment")
    for lose in ("gateway:cluster-1", "app:cluster-1"):
        assert refusal(world, lose).startswith("cluster-1: Deployment objects could not be read")
    assert planned(world, "gateway:cluster-3").losses


def test_a_lost_cluster_that_exists_loses_its_gateway_and_says_so() -> None:
    found = planned(with_cluster("cluster-1", **EXISTING), "cluster-1")
    assert [type(loss) for loss in found.losses] == [Scaled]
    assert found.words == "cluster-1"
    assert "cluster-1 exists, so it is not stopped" in found.meaning


def test_a_gateway_is_lost_with_its_pods_and_comes_back_with_as_many() -> None:
    world = World()
    world["cluster-3"].get("Deployment", "gateway")["spec"]["replicas"] = 2
    (loss,) = planned(world, "gateway:cluster-3").losses
    assert loss == Scaled(
        cluster="cluster-3", namespace="multicluster-system", workload="deployment/gateway",
        pods="app=gateway", replicas=2,
    )  # fmt: skip


def test_an_app_is_whatever_runs_behind_the_services_that_are_called() -> None:
    world = World()
    world["cluster-1"].add("StatefulSet", workload("dapr-test", "cache", {"app": "node", "part": "cache"}))
    world["cluster-1"].add("Deployment", workload("dapr-test", "other", {"app": "other"}))
    found = planned(world, "app:cluster-1")
    names = [loss.workload for loss in found.losses if isinstance(loss, Scaled)]
    assert names == ["deployment/nodeapp", "statefulset/cache"]
    assert found.words == "the app dapr-test/nodeapp, dapr-test/cache in cluster-1"
    assert ("cluster-1", "cluster-1") in found.pairs


def test_pods_are_not_ended_by_labels_that_may_select_those_of_others() -> None:
    world = World()
    selector = world["cluster-1"].get("Deployment", "nodeapp")["spec"]["selector"]
    selector["matchExpressions"] = [{"key": "part", "operator": "DoesNotExist"}]
    (loss,) = planned(world, "app:cluster-1").losses
    assert isinstance(loss, Scaled)
    assert not loss.pods


def test_a_link_is_cut_at_both_ends() -> None:
    world = with_cluster("cluster-2", peersPort=9443)
    found = planned(world, "link:cluster-1:cluster-2")
    node = "k3d-{}-server-0"
    assert found.losses == (
        Filtered(cluster="cluster-1", container=node.format("cluster-1"), peer="cluster-2",
                 host="172.28.0.1", ports=(82, 9443)),
        Filtered(cluster="cluster-2", container=node.format("cluster-2"), peer="cluster-1",
                 host="172.28.0.1", ports=(81, 20081)),
    )  # fmt: skip


def test_a_cluster_that_exists_has_its_end_of_a_link_cut_by_a_network_policy() -> None:
    found = planned(with_cluster("cluster-2", **EXISTING), "link:cluster-1:cluster-2")
    one, other = found.losses
    assert isinstance(one, Filtered)
    assert (one.host, one.ports) == ("192.0.2.7", (30080,))
    assert other == Denied(cluster="cluster-2", peer="cluster-1", host="172.28.0.1", ports=(81, 20081))
    assert "from cluster-2 its gateways may not connect (NetworkPolicy)" in found.meaning


def test_without_a_name_it_is_who_serves_most_of_what_others_call() -> None:
    world = World()
    policy = world["cluster-2"].get("GlobalTrafficPolicy", "nodeapp")["spec"]
    policy["targets"][0]["weight"] = 10
    world["cluster-2"].follow()
    assert planned(world, "gateway").words == "the gateway of cluster-3"
    assert planned(world, "app").words == "the app dapr-test/nodeapp in cluster-3"
    assert planned(world, "link").words == "the link between cluster-2 and cluster-3"


def test_where_nothing_leaves_a_cluster_no_link_carries_calls() -> None:
    world = World()
    world.no_policy()
    assert "no call leaves its cluster" in refusal(world, "link")
    assert planned(world, "app").words == "the app dapr-test/nodeapp in cluster-1"


def test_calls_can_be_chosen() -> None:
    assert [one.cluster for one in planned(World(), "cluster-1", sources=("cluster-2",)).calls] == [
        "cluster-2"
    ]
    assert planned(World(), "cluster-1", services=("dapr-test/nodeapp",)).calls
    assert planned(World(), "cluster-1", services=(NODEAPP,)).calls
    said = refusal(World(), "cluster-1", services=("a/b",))
    assert said == "--service a/b: no gateway has a route of it. Known: dapr-test/nodeapp."


@pytest.mark.parametrize(
    "lose", ["cluster-1", "gateway:cluster-1", "app:cluster-1", "link:cluster-2:cluster-1"]
)
def test_nothing_is_taken_from_a_protected_cluster_and_the_setting_is_named(lose: str) -> None:
    world = with_cluster("cluster-1", protect=True)
    assert "clusters[1].protect is true: nothing of cluster-1 is taken away" in refusal(world, lose)
    assert planned(world, "cluster-3").losses, "others may be lost"


@pytest.mark.parametrize(
    ("lose", "message"),
    [
        ("moon", "--lose moon: there is no such cluster. Known: control-plane, cluster-1"),
        ("gateway:moon", "--lose moon: there is no such cluster"),
        ("gateway:cluster-1:cluster-2", "it takes 1 cluster: gateway:CLUSTER"),
        ("link:cluster-1", "it takes 2 clusters: link:CLUSTER:CLUSTER"),
        ("link:cluster-1:cluster-1", "it takes 2 clusters"),
        ("app:cluster-2", "cluster-2 runs no Deployment or StatefulSet behind dapr-test/nodeapp"),
    ],
)
def test_what_is_not_there_cannot_be_lost(lose: str, message: str) -> None:
    assert message in refusal(World(), lose)


def test_what_is_gone_already_cannot_be_lost() -> None:
    world = World()
    world.containers["k3d-cluster-1-server-0"] = "exited"
    assert "cluster-1 has no container that runs" in refusal(world, "cluster-1")
    world["cluster-3"].scale_to_zero("gateway")
    assert "cluster-3 has no Deployment gateway" in refusal(world, "gateway:cluster-3")


def test_calls_of_a_lost_cluster_alone_show_nothing() -> None:
    assert "all would come from cluster-1 itself" in refusal(World(), "cluster-1", sources=("cluster-1",))
    assert "--from moon: there is no such cluster" in refusal(World(), "cluster-1", sources=("moon",))


def test_clusters_that_do_not_answer_are_left_out_and_named() -> None:
    world = World()
    world["cluster-3"].error = "does not answer within 4 s"
    world["control-plane"].scale_to_zero("gateway")
    assert planned(world, "cluster-1").left_out[:2] == (
        "control-plane: no gateway there says how it routes", "cluster-3: does not answer within 4 s",
    )  # fmt: skip


def test_the_backends_of_an_export_are_lost_with_it() -> None:
    world = World()
    cluster = world["cluster-1"]
    labels = {"app": "node-canary"}
    cluster.add("Deployment", workload(SERVICE[0], "canary", labels))
    cluster.add(
        "Service", {"metadata": {"namespace": SERVICE[0], "name": "canary"}, "spec": {"selector": labels}}
    )
    for route in cluster.config["northSouth"]:
        for one in (one for priority in route["priorities"] for one in priority):
            one["backend"] = "canary"
    names = [loss.workload for loss in planned(world, "app:cluster-1").losses if isinstance(loss, Scaled)]
    assert sorted(names) == ["deployment/canary", "deployment/nodeapp"]


def test_times_rates_and_paths_are_bounded() -> None:
    assert [seconds("90"), seconds("60s"), seconds("2m")] == [90, 60, 120]
    assert (rate("50"), path("/ports?x=1")) == (50, "/ports?x=1")
    for read, wrong in ((seconds, "1h"), (seconds, "5s"), (seconds, "16m"), (rate, "0"), (rate, "201"),
                        (rate, "1.5"), (path, "ports"), (path, "/a b"), (path, "/#x")):  # fmt: skip
        with pytest.raises(ValueError, match=r"give one such as|from 1 to 200|from 10 s to"):
            read(wrong)
