"""What doctor and status say of pods without the Dapr sidecar they ask for, or with one of another mode."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from platforms.world import World, pod

from cli.doctor.sidecars import sidecar_checks


def asking(name: str, *containers: str, enabled: str = "true") -> dict[str, Any]:
    found = pod("dapr-test", name, {"app": name}, "10.42.0.30", *containers)
    found["metadata"]["annotations"] = {"dapr.io/enabled": enabled}
    return found


def test_a_pod_that_came_back_without_its_sidecar_is_named() -> None:
    world = World()
    world["cluster-1"].add("Pod", asking("orders-1", "orders"), asking("orders-2", "orders", "daprd"))
    check = world.checks()["cluster-1: Dapr sidecars"]
    assert check.result == "fail"
    assert check.seen == "ask for a Dapr sidecar and have none: dapr-test/orders-1"
    assert check.hint.startswith("Dapr's operator replaces them within some minutes")
    assert check.hint.endswith("-n dapr-test delete pod orders-1")


def test_where_dapr_is_somebody_elses_nobody_is_said_to_replace_them() -> None:
    world = World()
    world["cluster-1"].add("Pod", asking("orders-1", "orders"))
    view = world.platform().cluster("cluster-1")
    theirs = replace(view, settings=view.settings.model_copy(update={"dapr": "existing"}))
    (check,) = sidecar_checks(theirs, mtls=None)
    assert check.hint.startswith("They came back before Dapr's injector")


def test_pods_that_have_ended_ask_for_nothing() -> None:
    world = World()
    done, ending, off = asking("done", "job"), asking("ending", "job"), asking("off", "job", enabled="false")
    done["status"]["phase"] = "Succeeded"
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    world["cluster-1"].add("Pod", done, ending, off)
    assert "cluster-1: Dapr sidecars" not in world.checks()


@pytest.mark.parametrize("where", ["containers", "initContainers"])
def test_a_sidecar_from_before_mtls_was_switched_is_named(where: str) -> None:
    world = World()
    world.config["dapr"] = {"mtls": True}
    old, fresh = asking("old", "app"), asking("fresh", "app")
    for one, arguments in ((old, ["--app-id", "old"]), (fresh, ["--app-id", "fresh", "--enable-mtls"])):
        one["spec"].setdefault(where, []).append({"name": "daprd", "args": arguments})
    world["cluster-1"].add("Pod", old, fresh)
    check = world.checks()["cluster-1: Dapr's mTLS"]
    assert check.result == "warn"
    assert check.seen == "started before `dapr.mtls` was True, and cannot talk to the others: dapr-test/old"
    world.config["dapr"] = {"mtls": False}
    assert world.checks()["cluster-1: Dapr's mTLS"].seen.endswith(": dapr-test/fresh")
