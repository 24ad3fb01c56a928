"""Of every fault the first broken hop is named, with one line that repairs it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml
from platforms.world import GATEWAYS, REDIS, SLOW, World, condition, endpoint_slice, key, service_import

from cli.doctor.reachability import SELF
from gateway.core.objects import DERIVED
from stacks.config.loading import parse

TO_1 = "cluster-2 → dapr-test/nodeapp at cluster-1"
TO_3 = "cluster-2 → dapr-test/nodeapp at cluster-3"
HOME = "cluster-1 → dapr-test/nodeapp at cluster-1"
DOOR = "front door → dapr-test/nodeapp at cluster-1"
NOWHERE = "cluster-2 → dapr-test/nodeapp"
SILENT = "no answer within 2.5 s"
STRANGER = key("cluster-9")
Inject = Callable[[World], None]
FAULTS: list[tuple[Inject, str, str, str, str]] = []


def fault(path: str, hop: str, seen: str, hint: str) -> Callable[[Inject], Inject]:
    """What doctor should say of this path after the decorated function has broken something."""

    def note(inject: Inject) -> Inject:
        FAULTS.append((inject, path, hop, seen, hint))
        return inject

    return note


@fault(NOWHERE, "cluster", "its node is exited", "docker start k3d-cluster-2-server-0")
def importer_down(world: World) -> None:
    world["cluster-2"].error = SILENT
    world.containers["k3d-cluster-2-server-0"] = "exited"


@fault(TO_1, "DNS", "resolve no names", "CoreDNS")
def dns_down(world: World) -> None:
    world["cluster-2"].names = {SELF: SILENT, "nodeapp.dapr-test": SILENT}


@fault(TO_1, "Service", "hub, which carries exports, is down", "scale deployment/multicluster-hub")
def hub_down_and_import_gone(world: World) -> None:
    world["control-plane"].scale_to_zero("multicluster-hub")
    world["cluster-2"].drop("ServiceImport", "nodeapp")
    world["cluster-2"].drop("Service", "nodeapp")


@fault(TO_1, "Service", "although it is imported", "logs deployment/controller")
def derived_service_gone(world: World) -> None:
    world["cluster-2"].drop("Service", "nodeapp")


@fault(TO_1, "Service", "which writes it, is down", "scale deployment/controller")
def derived_service_gone_with_its_controller(world: World) -> None:
    world["cluster-2"].drop("Service", "nodeapp")
    world["cluster-2"].scale_to_zero("controller")


@fault(TO_1, "EndpointSlice", "lists 10.42.0.99, not the gateway at 10.42.0.5", "logs deployment/controller")
def slice_lists_a_gateway_that_is_gone(world: World) -> None:
    world["cluster-2"].objects["EndpointSlice"] = [
        endpoint_slice("nodeapp", "dapr-test", "10.42.0.99", imported=True)
    ]


@fault(TO_1, "EndpointSlice", "has the Service's port 'http'", "logs deployment/controller")
def slice_without_the_services_port(world: World) -> None:
    world["cluster-2"].get("Service", "nodeapp")["spec"]["ports"] = [{"port": 3000, "name": "http"}]


@fault(TO_1, "EndpointSlice", "has the Service's port without a name", "logs deployment/controller")
def slice_with_another_port_than_the_services(world: World) -> None:
    world["cluster-2"].get("EndpointSlice", "nodeapp-imported")["ports"][0]["name"] = "http"


@fault(TO_1, "EndpointSlice", "the controller, which writes it, is down", "scale deployment/controller")
def slice_without_a_controller(world: World) -> None:
    slice_lists_a_gateway_that_is_gone(world)
    world["cluster-2"].scale_to_zero("controller")


@fault(HOME, "EndpointSlice", "lists nobody, not the gateway at 10.42.0.5", "logs deployment/controller")
def taken_over_and_no_gateway_listed(world: World) -> None:
    cluster = world.take_over()
    cluster.drop("EndpointSlice", "nodeapp-imported")


@fault(HOME, "EndpointSlice", "not the local pod, while no gateway is ready, at 10.42.0.9", "controller")
def taken_over_and_gateways_gone(world: World) -> None:
    world.take_over().scale_to_zero("gateway")


@fault(HOME, "EndpointSlice", "lists its 1 ready pods", "describe service nodeapp")
def taken_over_and_pods_not_listed(world: World) -> None:
    world.take_over().drop("EndpointSlice", "nodeapp-local-x")


@fault(HOME, "route", "has no route for dapr-test/nodeapp", "logs deployment/gateway")
def taken_over_without_a_route(world: World) -> None:
    world.take_over().config["eastWest"] = []


@fault(HOME, "policy", "still routes by ActiveActive", "rollout restart")
def taken_over_and_the_gateway_does_not_follow(world: World) -> None:
    cluster = world.take_over()
    cluster.get("GlobalTrafficPolicy", "nodeapp")["spec"]["lbType"] = "FailOver"


@fault(HOME, "app pod", "nodeapp is scaled to zero", "-n dapr-test scale deployment/nodeapp")
@fault(TO_1, "app pod", "nodeapp is scaled to zero", "-n dapr-test scale deployment/nodeapp")
def taken_over_and_the_app_scaled_to_zero(world: World) -> None:
    cluster = world.take_over()
    cluster.scale_to_zero("nodeapp")
    cluster.drop("EndpointSlice", "nodeapp-local-x")


@fault(TO_1, "EndpointSlice", "lists nobody, not the gateway at 10.42.0.5", "logs")
def only_a_slice_with_copied_labels(world: World) -> None:
    """Kubernetes copies a Service's labels to the slices it makes itself: they say nothing of the writer."""
    copied = endpoint_slice("nodeapp", "dapr-test", "10.42.0.5")
    copied["metadata"]["labels"].update(DERIVED)
    world["cluster-2"].objects["EndpointSlice"] = [copied]


@fault(TO_1, "gateway", "scaled to zero", "scale deployment/gateway --replicas=1")
def gateway_scaled_to_zero(world: World) -> None:
    world["cluster-2"].scale_to_zero("gateway")


@fault(TO_1, "gateway", "gateway waits: CrashLoopBackOff", "describe pod gateway-1")
def gateway_crashes(world: World) -> None:
    cluster = world["cluster-2"]
    cluster.get("Deployment", "gateway")["status"] = {}
    pod = cluster.get("Pod", "gateway-1")
    pod["status"]["conditions"] = [condition("Ready", "False")]
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    pod["status"]["containerStatuses"] = [{"name": "gateway", "ready": False, "state": waiting}]
    cluster.reach_error = "no gateway pod is ready to ask from"


@fault(TO_1, "route", "does not list cluster-1: the hub has not carried it", "logs")
def exporter_left_out_of_the_import(world: World) -> None:
    world["cluster-2"].objects["ServiceImport"] = [service_import("cluster-3")]


@fault(TO_1, "route", "cluster-1 has no ServiceExport", "./stack up dev --refresh")
def export_deleted(world: World) -> None:
    exporter_left_out_of_the_import(world)
    world["cluster-1"].objects["ServiceExport"] = []


@fault(TO_1, "route", "not valid: there is no Service", "`exports`")
def export_not_valid(world: World) -> None:
    exporter_left_out_of_the_import(world)
    export = world["cluster-1"].get("ServiceExport", "nodeapp")
    export["status"]["conditions"] = [condition("Valid", "False", "Failed", "there is no Service")]


@fault(TO_1, "route", "not valid: there is no Service", "Deploy it there")
def export_of_a_service_that_nobody_deployed(world: World) -> None:
    export_not_valid(world)
    app_service_deleted_by_whoever_deployed_it(world)


@fault(TO_1, "route", "cannot manage cluster-1: refuses the hub's credential", "logs")
def member_not_managed(world: World) -> None:
    exporter_left_out_of_the_import(world)
    status = world["control-plane"].get("Cluster", "cluster-1")["status"]
    status["conditions"] = [condition("Managed", "False", "Failed", "refuses the hub's credential")]


@fault(NOWHERE, "policy", "has no policy for dapr-test/nodeapp, but the settings have FailOver", "--refresh")
def policy_deleted(world: World) -> None:
    world.no_policy()


@fault(NOWHERE, "policy", "is Locality, but the settings have FailOver", "--refresh")
def policy_turned_to_locality(world: World) -> None:
    world.set_policy("Locality", [])


@fault(
    f"cluster-2 → dapr-test/nodeapp at {STRANGER}",
    "policy",
    "targets default/default/default/cluster-9, which exports no",
    "exporters are default/default/default/cluster-1",
)
def policy_targets_a_stranger(world: World) -> None:
    world.set_policy("FailOver", [{"clusterKey": STRANGER, "weight": 100}])


@fault(TO_1, "policy", "still routes by FailOver", "rollout restart")
def gateway_does_not_follow_the_policy(world: World) -> None:
    world.set_policy("ActiveActive")


@fault(TO_1, "remote gateway", "its node is paused", "docker unpause k3d-cluster-1-server-0")
@fault(DOOR, "remote gateway", "its node is paused", "docker unpause k3d-cluster-1-server-0")
def node_paused(world: World) -> None:
    world["cluster-1"].error = "does not answer within 4 s"
    world.containers["k3d-cluster-1-server-0"] = "paused"
    world["cluster-2"].gateways[GATEWAYS["cluster-1"]] = SILENT
    world["control-plane"].gateways[GATEWAYS["cluster-1"]] = SILENT


@fault(TO_1, "remote gateway", "in cluster-1: Deployment", "scale deployment/gateway")
def remote_gateway_scaled_to_zero(world: World) -> None:
    world["cluster-1"].scale_to_zero("gateway")
    world["cluster-2"].gateways[GATEWAYS["cluster-1"]] = "Connection refused"


@fault(TO_1, "remote gateway", "does not reach the gateway of cluster-1", "network")
def way_to_the_remote_gateway_blocked(world: World) -> None:
    world["cluster-2"].gateways[GATEWAYS["cluster-1"]] = SILENT


@fault(TO_1, "remote route", "cluster-2 and cluster-1 share no key", "./stack up dev --refresh")
def gateways_without_a_common_key(world: World) -> None:
    world["cluster-1"].config["peers"] = ["11111111"]
    world["cluster-2"].config["peers"] = ["22222222", "11111111"]


@fault(TO_1, "remote route", "path belongs to x/y", "logs deployment/gateway")
def remote_route_missing(world: World) -> None:
    world["cluster-1"].config["northSouth"] = []
    export = world["cluster-1"].get("ServiceExport", "nodeapp")
    export["status"]["conditions"] = [condition("Programmed", "False", "PathConflict", "path belongs to x/y")]


@fault(TO_1, "app pod", "nodeapp is scaled to zero", "-n dapr-test scale deployment/nodeapp")
@fault(HOME, "app pod", "nodeapp is scaled to zero", "-n dapr-test scale deployment/nodeapp")
def app_scaled_to_zero(world: World) -> None:
    world["cluster-1"].scale_to_zero("nodeapp")
    world["cluster-1"].objects["EndpointSlice"] = [endpoint_slice("nodeapp", "dapr-test")]


@fault(TO_1, "app pod", "node waits: ErrImagePull", "describe pod nodeapp-1")
def app_image_missing(world: World) -> None:
    world["cluster-1"].objects["EndpointSlice"] = [endpoint_slice("nodeapp", "dapr-test")]
    pod = world["cluster-1"].get("Pod", "nodeapp-1")
    pod["status"]["conditions"] = [condition("Ready", "False")]
    pod["status"]["containerStatuses"][0] |= {
        "ready": False, "state": {"waiting": {"reason": "ErrImagePull"}},
    }  # fmt: skip


@fault(HOME, "Service", "there is no Service", "./stack up dev --refresh")
def app_service_deleted(world: World) -> None:
    world["cluster-1"].drop("Service", "nodeapp")


@fault(HOME, "Service", "there is no Service", "Deploy it there")
@fault(TO_1, "app pod", "there is no Service", "Deploy it there")
def app_service_deleted_by_whoever_deployed_it(world: World) -> None:
    world.config["apps"][0]["clusters"] = ["cluster-3"]
    world["cluster-1"].drop("Service", "nodeapp")


@fault(TO_1, "Dapr sidecar", "it has no sidecar", "delete pod nodeapp-1")
def without_sidecar(world: World) -> None:
    status = world["cluster-1"].get("Pod", "nodeapp-1")["status"]
    status["containerStatuses"] = status["containerStatuses"][:1]


@fault(
    TO_1, "Dapr sidecar", "dapr-sidecar-injector is scaled to zero", "scale deployment/dapr-sidecar-injector"
)
def injector_down_and_without_sidecar(world: World) -> None:
    without_sidecar(world)
    world["cluster-1"].scale_to_zero("dapr-sidecar-injector")


@fault(TO_1, "Dapr sidecar", "daprd waits: CrashLoopBackOff", "logs nodeapp-1 -c daprd")
def sidecar_not_ready(world: World) -> None:
    pod = world["cluster-1"].get("Pod", "nodeapp-1")
    pod["status"]["conditions"] = [condition("Ready", "False")]
    pod["status"]["containerStatuses"][1] |= {
        "ready": False, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
    }  # fmt: skip


@fault(TO_1, "state store", "is exited", "docker start multicluster-dapr-dev-redis")
def redis_stopped(world: World) -> None:
    world.containers["multicluster-dapr-dev-redis"] = "exited"


@fault(TO_1, "state store", "does not reach the store statestore", "`redis`")
def redis_out_of_reach(world: World) -> None:
    world["cluster-1"].stores[REDIS] = "Connection refused"


@pytest.mark.parametrize(
    ("inject", "path", "hop", "seen", "hint"),
    FAULTS,
    ids=[f"{row[0].__name__}-{row[1][:10]}" for row in FAULTS],
)
def test_the_first_broken_hop_is_named_with_its_fix(
    inject: Inject, path: str, hop: str, seen: str, hint: str
) -> None:
    world = World()
    inject(world)
    check = world.paths()[path]
    assert check.result == "fail"
    assert check.broken == hop, check
    assert seen in check.seen
    assert hint in check.hint
    assert "\n" not in check.seen + check.hint, "one line each"


def test_every_path_of_a_healthy_platform_is_fine() -> None:
    paths = World().paths()
    assert {check.result for check in paths.values()} == {"ok"}, paths
    assert {TO_1, TO_3, HOME, DOOR} <= set(paths)


def test_a_fault_of_one_exporter_leaves_the_path_to_the_other_fine() -> None:
    world = World()
    app_scaled_to_zero(world)
    assert world.paths()[TO_3].result == "ok"


def test_without_a_policy_anywhere_the_path_is_only_warned_about() -> None:
    world = World()
    world.config["policies"] = []
    world.no_policy()
    check = world.paths()[NOWHERE]
    assert (check.result, check.broken) == ("warn", "policy")
    entry = yaml.safe_load(check.hint[check.hint.index("{") : check.hint.rindex("}") + 1])
    parse({**world.config, "policies": [entry]})  # it can be pasted as it is
    assert [target["cluster"] for target in entry["targets"]] == ["cluster-1", "cluster-3"]


def test_a_policy_made_by_hand_counts() -> None:
    world = World()
    world.config["policies"] = []
    assert world.paths()[TO_1].result == "ok"


def test_a_drained_target_is_warned_about() -> None:
    world = World()
    world.set_policy(
        "FailOver", [{"clusterKey": key("cluster-1"), "weight": 0}, {"clusterKey": key("cluster-3")}]
    )
    assert world.paths()[TO_1].result == "warn"


def test_a_silent_api_server_does_not_break_a_path_whose_gateway_answers() -> None:
    world = World()
    world["cluster-1"].error = "does not answer within 4 s"
    assert world.paths()[TO_1].result == "ok"
    assert world.checks()["cluster-1: API server"].result == "fail"


def test_an_export_meant_for_others_is_no_path_of_this_importer() -> None:
    world = World()
    world.config["exports"][0]["targetClusters"] = [key("cluster-3")]
    world.config["policies"] = []
    world.no_policy()
    assert not [name for name in world.paths() if name.startswith("cluster-2")]


def test_an_application_that_took_over_a_derived_service_is_local() -> None:
    """Its Service and slices carry the label of the gateway's Service until the gateway has taken it off."""
    world = World()
    for kind in ("Service", "EndpointSlice"):
        found = world["cluster-1"].get(kind, "nodeapp" if kind == "Service" else "nodeapp-x")
        found["metadata"].setdefault("labels", {}).update(DERIVED)
    assert {world.paths()[path].result for path in (HOME, TO_1)} == {"ok"}


FROM_1_TO_3 = "cluster-1 → dapr-test/nodeapp at cluster-3"


def test_the_paths_of_a_service_that_is_taken_over_are_fine() -> None:
    world = World()
    world.take_over()
    paths = world.paths()
    assert {check.result for check in paths.values()} == {"ok"}, paths
    assert {HOME, FROM_1_TO_3} <= set(paths)
    assert paths[HOME].seen != World().paths()[HOME].seen, "its gateway's route and policy are hops too"


def test_callers_of_a_service_that_is_taken_over_reach_its_pods_while_no_gateway_is_ready() -> None:
    world = World()
    cluster = world.take_over()
    cluster.scale_to_zero("gateway")
    cluster.drop("EndpointSlice", "nodeapp-imported")
    cluster.add("EndpointSlice", endpoint_slice("nodeapp", "dapr-test", "10.42.0.9", imported=True))
    paths = world.paths()
    assert paths[HOME].result == "ok"
    assert paths[FROM_1_TO_3].broken == "gateway"


def test_a_local_cluster_that_is_drained_is_warned_about() -> None:
    world = World()
    targets = world.take_over().get("GlobalTrafficPolicy", "nodeapp")["spec"]["targets"]
    targets.append({"clusterKey": key("cluster-1"), "weight": 0})
    assert (world.paths()[HOME].result, world.paths()[HOME].broken) == ("warn", "policy")


def test_what_is_between_clusters_alone_is_looked_for_at_no_front_door() -> None:
    world = World()
    for name in ("cluster-1", "cluster-3"):
        export = world[name].get("ServiceExport", "nodeapp")
        export["metadata"]["annotations"] = {"multicluster.flomesh.io/published": "false"}
        world[name].follow()
        assert world[name].config["northSouth"] == []
        assert [route["where"] for route in world[name].config["betweenClusters"]] == [
            "Name dapr-test/nodeapp:3000"
        ]
    found = world.paths()
    assert {check.result for check in found.values()} == {"ok"}
    assert not [name for name in found if name.startswith("front door")]


def test_nothing_is_said_of_a_path_by_what_was_not_read_of_the_callers_cluster() -> None:
    world = World()
    world["cluster-2"].not_telling("Service", "dapr-test")
    found = [check for name, check in world.paths().items() if name.startswith("cluster-2 → dapr-test/")]
    assert found
    for check in found:
        assert (check.result, check.broken) == ("warn", "cluster")
        assert check.seen == f"not known: in cluster-2, Service objects {SLOW}"


@pytest.mark.parametrize("kind", ["Service", "Pod", "Deployment", "ServiceExport"])
def test_a_path_is_not_broken_by_what_was_not_read_of_the_serving_cluster(kind: str) -> None:
    world = World()
    cluster = world["cluster-1"]
    cluster.not_telling(kind)
    cluster.config = {**cluster.config, "northSouth": [], "betweenClusters": []}
    if kind != "ServiceExport":
        cluster.follow()
    assert not [name for name, check in world.paths().items() if check.result == "fail"]


def test_a_missing_import_is_not_laid_to_what_was_not_read() -> None:
    world = World()
    world["cluster-2"].objects["Service"] = world["cluster-2"].objects["ServiceImport"] = []
    world["control-plane"].not_telling("Cluster")
    world["control-plane"].not_telling("Deployment")
    for name in ("cluster-1", "cluster-3"):
        world[name].not_telling("ServiceExport")
    seen = [
        check.seen
        for check in world.paths().values()
        if "although it is" in check.seen or "no Service" in check.seen
    ]
    assert seen
    assert all("the hub has not carried it" in one for one in seen)


def test_calls_that_stay_where_nobody_serves_are_refused_and_beside_pods_they_stay() -> None:
    world = World()
    world.config["policies"] = []
    world.no_policy()
    refused = world.paths()["cluster-2 → dapr-test/nodeapp"]
    assert refused.seen.endswith(": calls are refused, as nobody serves it there")
    assert refused.hint.startswith("To let them out, add {cluster: cluster-2")
