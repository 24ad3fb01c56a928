"""What doctor says of calls by app-id."""

from __future__ import annotations

from typing import Any

import pytest
from platforms.world import World, condition, named, pod

from cli.doctor.app_ids import app_id_checks
from cli.doctor.check import Check
from cli.observe.services import DERIVED

BEFORE, MADE, AFTER = (f"2026-01-01T00:00:0{second}Z" for second in (1, 2, 3))


def checks(world: World) -> dict[str, Check]:
    return {check.name: check for check in app_id_checks(world.platform())}


def endpoint(namespace: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    found = named(namespace, "nodeapp", DERIVED if labels is None else labels)
    found["metadata"]["creationTimestamp"] = MADE
    return found


def caller(name: str, image: str, started: str) -> dict[str, Any]:
    found = pod("curl", name, {"app": name}, "10.42.0.20", "curl", "daprd")
    sidecar = found["status"]["containerStatuses"].pop()
    native = {**sidecar, "image": image, "state": {"running": {"startedAt": started}}}
    found["status"]["initContainerStatuses"] = [native]
    return found


def test_without_http_endpoints_there_is_nothing_to_say() -> None:
    world = World()
    world["cluster-2"].add("Pod", caller("curl-1", "daprd:1.16.0", BEFORE))
    world["cluster-2"].add("HTTPEndpoint", endpoint("curl", labels={}))
    world["cluster-1"].error = "down"
    assert checks(world) == {}


def test_sidecars_that_cannot_notice_an_http_endpoint_are_named_with_their_pods() -> None:
    world = World()
    world["cluster-2"].add("HTTPEndpoint", endpoint("curl"))
    world["cluster-2"].add(
        "Pod", caller("a", "localhost:5000/daprd:1.16.0", BEFORE), caller("b", "daprd:1.17.13", BEFORE),
        caller("c", "daprd:1.16.0", AFTER), pod("curl", "d", {"app": "d"}, "10.42.0.21", "curl"),
    )  # fmt: skip
    check = checks(world)["cluster-2: calls by app-id from curl"]
    assert check.result == "warn"
    assert check.seen == "sidecars older than Dapr 1.18 started before nodeapp could be called: a, b"
    assert check.hint.endswith("-n curl delete pod a b")


@pytest.mark.parametrize("image", ["daprd:1.18.0", "daprd:v1.18.3-mariner", "daprd:2.0.0", "daprd@sha256:0"])
def test_sidecars_that_notice_or_whose_version_nobody_knows_are_left_alone(image: str) -> None:
    world = World()
    world["cluster-2"].add("HTTPEndpoint", endpoint("curl"))
    world["cluster-2"].add("Pod", caller("a", image, BEFORE))
    assert checks(world) == {}


def test_an_import_that_cannot_be_called_says_why() -> None:
    world = World()
    said = condition("DaprInvocable", "False", "LocalApp", "an HTTPEndpoint would hide the Dapr app")
    world["cluster-2"].get("ServiceImport", "nodeapp")["status"]["conditions"].append(said)
    check = checks(world)["cluster-2: calls of dapr-test/nodeapp by app-id"]
    assert (check.result, check.seen) == ("warn", "LocalApp: an HTTPEndpoint would hide the Dapr app")
