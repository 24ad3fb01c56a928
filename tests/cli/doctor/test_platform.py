"""What doctor and status say of each cluster."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

from platforms.world import SLOW, World, condition, named

from cli.doctor.every_caller import REPAIRS
from cli.doctor.platform import platform_checks, reachable
from cli.observe.view import Unread
from gateway.core import every_caller


def test_a_healthy_platform_has_no_fault() -> None:
    assert {check.result for check in World().checks().values()} == {"ok"}


def test_a_cluster_that_does_not_answer_is_one_check_with_the_state_of_its_node() -> None:
    world = World()
    world["cluster-1"].error = "does not answer within 4 s"
    world.containers["k3d-cluster-1-server-0"] = "paused"
    found = {name: check for name, check in world.checks().items() if name.startswith("cluster-1")}
    assert list(found) == ["cluster-1: API server"]
    assert "its node is paused" in found["cluster-1: API server"].seen


def test_a_hub_that_is_down_is_named() -> None:
    world = World()
    world["control-plane"].scale_to_zero("multicluster-hub")
    check = world.checks()["control-plane: hub"]
    assert check.result == "fail"
    assert "scale deployment/multicluster-hub --replicas=1" in check.hint


def test_a_part_of_dapr_that_is_down_is_named() -> None:
    world = World()
    world["cluster-3"].scale_to_zero("dapr-sidecar-injector")
    assert "dapr-sidecar-injector is scaled to zero" in world.checks()["cluster-3: Dapr"].seen


def test_a_member_that_never_joined_is_named() -> None:
    world = World()
    world["control-plane"].drop("Cluster", "cluster-3")
    assert world.checks()["control-plane: membership of cluster-3"].result == "fail"


def test_a_conflict_between_exports_is_a_fault_and_its_absence_none() -> None:
    world = World()
    export = world["cluster-3"].get("ServiceExport", "nodeapp")
    export["status"]["conditions"] = [condition("Conflict", "True", "Conflict", "port 3000 is tcp here")]
    assert "port 3000 is tcp here" in world.checks()["cluster-3: ServiceExport dapr-test/nodeapp"].seen


def test_an_export_of_a_service_that_is_not_there_yet_says_who_has_to_deploy_it() -> None:
    world = World()
    export = {"service": "checkout", "namespace": "shop", "clusters": ["cluster-2"]}
    world.config["exports"].append({**export, "rules": [{"portNumber": 80}]})
    missing = {"conditions": [condition("Programmed", "False", "ServiceNotFound", "there is no Service")]}
    world["cluster-2"].add("ServiceExport", named("shop", "checkout", status=missing))
    found = world.checks()["cluster-2: ServiceExport shop/checkout"]
    assert "there is no Service" in found.seen
    by_hand = "KUBECONFIG=$(k3d kubeconfig write cluster-2) kubectl -n shop apply -f FILE"
    assert found.hint.startswith(f"Deploy it there, as by {by_hand}, or take cluster-2 out of its entry")
    mine = world["cluster-1"].get("ServiceExport", "nodeapp")
    mine["status"] = missing
    world["cluster-1"].drop("Service", "nodeapp")
    assert "Correct `exports`" in world.checks()["cluster-1: ServiceExport dapr-test/nodeapp"].hint


def test_a_policy_the_gateway_cannot_follow_is_a_fault() -> None:
    world = World()
    bad = {"conditions": [condition("Programmed", "False", "UnknownTarget", "exports no such service")]}
    world["cluster-2"].objects["GlobalTrafficPolicy"] = [named("dapr-test", "nodeapp", status=bad)]
    check = world.checks()["cluster-2: GlobalTrafficPolicy dapr-test/nodeapp"]
    assert check.seen == "UnknownTarget: exports no such service"


def test_a_policy_refused_for_every_caller_is_warned_about_with_what_to_do() -> None:
    world = World()
    message = "port 9000 speaks grpc by its appProtocol or name"
    world.take_over(reason="PortNotCarried", message=message)
    check = world.checks()["cluster-1: every caller of dapr-test/nodeapp"]
    assert check.result == "warn"
    assert check.seen == f"PortNotCarried: {message}"
    assert check.hint.startswith("Export that port too, or give it a Service of its own, or have callers say")
    assert "nodeapp.dapr-test.svc.clusterset.local" in check.hint
    by_hand = "taking its annotation multicluster.flomesh.io/every-caller off says that this is meant"
    assert check.hint.endswith(by_hand), "the settings have no such policy"
    targets = [{"cluster": "cluster-3"}]
    world.config["policies"].append(
        {**world.config["policies"][0], "cluster": "cluster-1", "targets": targets}
    )
    assert "`everyCaller: false`" in world.checks()["cluster-1: every caller of dapr-test/nodeapp"].hint


def test_a_reason_that_nothing_can_be_done_about_leaves_the_other_names() -> None:
    world = World()
    world.take_over(reason="Headless", message="it is headless")
    hint = world.checks()["cluster-1: every caller of dapr-test/nodeapp"].hint
    assert hint.startswith("Have callers say nodeapp.dapr-test.svc.clusterset.local or the app-id")


def test_every_reason_with_a_repair_is_one_that_the_controller_gives() -> None:
    source = Path(every_caller.__file__).read_text()
    assert [reason for reason in REPAIRS if f'"{reason}"' not in source] == []


def test_a_taken_over_service_without_a_controller_is_given_back_by_hand() -> None:
    world = World()
    cluster = world.take_over()
    assert "cluster-1: Service dapr-test/nodeapp" not in world.checks()
    cluster.scale_to_zero("controller")
    check = world.checks()["cluster-1: Service dapr-test/nodeapp"]
    assert check.result == "warn", "the gateways it lists are there"
    assert "scale deployment/controller --replicas=1" in check.hint
    command = shlex.split(check.hint.partition("): ")[2])
    patch = json.loads(command[command.index("--patch") + 1])
    assert patch["spec"]["selector"] == {"app": "node"}
    assert patch["metadata"]["annotations"] == {"multicluster.flomesh.io/selector": None}


def test_a_taken_over_service_that_lists_nobody_ready_is_a_fault_without_a_controller() -> None:
    world = World()
    cluster = world.take_over()
    cluster.scale_to_zero("controller")
    cluster.scale_to_zero("gateway")
    assert world.checks()["cluster-1: Service dapr-test/nodeapp"].result == "fail"


def test_a_redis_that_was_stopped_is_started_with_one_command() -> None:
    world = World()
    world.containers["multicluster-dapr-dev-redis"] = "exited"
    assert world.checks()["Redis"].hint == "docker start multicluster-dapr-dev-redis"


def test_without_docker_nothing_is_said_of_its_containers() -> None:
    platform = replace(World().platform(), containers={}, docker=False)
    assert {check.result for check in platform_checks(platform)} == {"ok"}


def test_what_was_not_read_is_not_said_to_be_absent() -> None:
    world = World()
    world["cluster-1"].not_telling("Deployment")
    world["cluster-1"].not_telling("StatefulSet", "dapr-system")
    world["control-plane"].not_telling("Cluster")
    checks = world.checks()
    seen = f"Deployment multicluster-system/gateway {SLOW}"
    assert (checks["cluster-1: gateway"].result, checks["cluster-1: gateway"].seen) == ("warn", seen)
    assert checks["cluster-1: controller"].seen == f"Deployment multicluster-system/controller {SLOW}"
    assert checks["cluster-1: Dapr"].seen == f"what is in dapr-system {SLOW}"
    assert checks["control-plane: membership of cluster-1"].seen == f"the Cluster object {SLOW}"
    assert not any("there is no" in check.seen for check in checks.values())
    slow = checks["cluster-1: Deployment objects"]
    assert (slow.result, slow.seen) == ("fail", str(SLOW)), "one fault for all that hangs on it"
    assert slow.hint == "docker logs --tail 50 k3d-cluster-1-server-0"
    assert checks["cluster-1: StatefulSet objects"].seen == f"{SLOW} in dapr-system"


def test_objects_that_a_server_refuses_are_a_matter_of_rights_or_of_crds() -> None:
    world = World()
    world["cluster-1"].not_telling("ServiceExport", why=Unread("it is forbidden", 403))
    found = world.checks()["cluster-1: ServiceExport objects"]
    assert (found.result, found.seen) == ("warn", "could not be read (it is forbidden)")
    assert "lacks rights" in found.hint


def test_a_gateway_that_tells_nothing_is_a_fault_when_no_other_one_tells() -> None:
    world = World()
    world["cluster-1"].page_error = "does not answer within 4 s"
    found = world.checks()["cluster-1: admin page of gateway-1"]
    assert (found.result, found.seen) == ("fail", "could not be read (does not answer within 4 s)")


def test_a_node_whose_container_nobody_asked_for_has_the_same_hint_as_one_that_runs() -> None:
    world = World()
    world["cluster-1"].error = "does not answer within 4 s"
    platform = world.platform()
    asked = reachable(platform, platform.cluster("cluster-1"))
    platform = replace(platform, containers={}, docker=False)
    assert reachable(platform, platform.cluster("cluster-1")).hint == asked.hint
    assert asked.hint == "docker logs --tail 50 k3d-cluster-1-server-0"
