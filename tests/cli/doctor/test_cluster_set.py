"""What doctor says of the cluster set's names."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
from platforms.world import World, derived, named

from cli.doctor.check import Check
from cli.doctor.cluster_set import cluster_set_checks
from cli.doctor.platform import unasked
from cli.doctor.reachability import SCRIPT, SELF, questions

NAME = "nodeapp.dapr-test.svc.clusterset.local"
ADDRESS = "10.43.0.7"


def world_with_the_service(**answers: str) -> World:
    """cluster-2 has the Service behind the name of its import; `answers` is what its pods resolve."""
    world = World()
    world["cluster-2"].add("Service", derived("nodeapp-clusterset", ADDRESS))
    world["cluster-2"].names |= answers
    return world


def checks(world: World) -> list[Check]:
    return cluster_set_checks(world.platform(), world.reached())


def test_a_cluster_without_such_a_service_has_no_such_name() -> None:
    assert checks(World()) == []


def test_a_service_of_the_users_with_such_a_name_is_not_behind_it() -> None:
    world = World()
    spec = {"clusterIP": ADDRESS, "selector": {"app": "x"}, "ports": [{"port": 3000}]}
    world["cluster-2"].add("Service", named("dapr-test", "nodeapp-clusterset", spec=spec))
    assert questions(world.platform().cluster("cluster-2")).addresses == {}


def test_a_name_that_resolves_is_fine() -> None:
    (check,) = checks(world_with_the_service(**{NAME: ""}))
    assert (check.name, check.result) == ("cluster-2: names of the cluster set", "ok")


def test_a_cluster_of_ours_whose_dns_lost_the_names_is_a_fault_that_up_mends() -> None:
    (check,) = checks(world_with_the_service(**{NAME: "Name or service not known"}))
    assert check.result == "fail"
    assert check.seen == f"1 of 1 do not resolve: {NAME}: Name or service not known"
    assert check.hint == "./stack up dev --refresh"


def test_somebody_elses_dns_is_theirs_to_configure() -> None:
    world = world_with_the_service(**{NAME: "Name or service not known"})
    (entry,) = (one for one in world.config["clusters"] if one["name"] == "cluster-2")
    del entry["apiPort"], entry["httpPort"]
    entry |= {
        "source": "existing", "kubeconfig": "/k", "context": "c",
        "gatewayHost": "192.0.2.1", "gatewayPort": 80,
    }  # fmt: skip
    world.config["images"] = {"registry": "registry.example.org/m"}
    (check,) = checks(world)
    assert check.result == "warn", "everything else goes on working"
    assert "docs/existing-clusters.md" in check.hint


def test_nothing_is_said_where_dns_itself_is_down_or_nobody_can_be_asked() -> None:
    world = world_with_the_service(**{NAME: "no answer", SELF: "no answer"})
    assert checks(world) == []
    world["cluster-2"].reach_error = "cannot ask"
    assert checks(world) == []


def test_pods_are_asked_for_the_name_and_for_its_address() -> None:
    view = world_with_the_service().platform().cluster("cluster-2")
    asked = questions(view)
    assert NAME in asked.names
    assert asked.addresses == {NAME: ADDRESS}


@pytest.mark.parametrize(("wanted", "said"), [("127.0.0.1", ""), (ADDRESS, f"is 127.0.0.1, not {ADDRESS}")])
def test_a_name_that_somebody_else_answers_for_is_told(wanted: str, said: str) -> None:
    """As where a resolver behind the cluster's has an address for every name."""
    name = "127.0.0.1"  # resolves to itself, without DNS
    words = json.dumps([[name], {name: wanted}, [], [], 5])
    done = subprocess.run([sys.executable, "-c", SCRIPT, words], capture_output=True, check=True)
    assert json.loads(done.stdout)["names"] == {name: said}


def test_all_questions_together_take_no_longer_than_one() -> None:
    """However many names nobody answers for: the answer is still there in time for who asked."""
    silent = "import socket, time; socket.getaddrinfo = lambda *_, **__: time.sleep(30)\n"
    names = [f"name-{number}" for number in range(6)]
    words = json.dumps([names, {}, [], [], 0.5])
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", silent + SCRIPT, words], capture_output=True, check=True)
    assert set(json.loads(done.stdout)["names"].values()) == {"no answer within 0.5 s"}
    assert time.monotonic() - began < len(names) * 0.5, "they are waited for side by side"


def test_who_could_not_be_asked_is_named() -> None:
    world = world_with_the_service()
    platform = world.platform()
    assert list(unasked(platform, world.reached())) == []
    world["cluster-2"].reach_error = "cannot ask from gateway-1"
    (found,) = unasked(platform, world.reached())
    assert (found.result, found.name, found.seen) == (
        "warn",
        "cluster-2: what pods reach",
        "cannot ask from gateway-1",
    )
