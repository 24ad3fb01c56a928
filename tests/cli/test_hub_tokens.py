"""Ages of the hub's tokens: who is told to begin again, and what `up` and `doctor` make of it."""

from __future__ import annotations

from typing import Any

import pytest
from platforms.world import World, named

from cli.hub_tokens import HubToken, token_of, without_token

ISSUED, EXPIRES = "2026-01-01T12:00:00Z", "2026-01-01T13:00:00Z"
NOON = 1767268800.0
ASKED = {"tokenRequest": {"serviceAccount": "multicluster-hub"}}


def cluster(name: str = "cluster-1", *, spec: Any = ASKED, **token: str) -> dict[str, Any]:
    return named("", name, spec=spec, status={"token": token} if token else {})


def test_a_token_is_known_by_its_times() -> None:
    found = token_of(cluster(issued=ISSUED, expires=EXPIRES, message="refused"))
    assert found == HubToken(issued=NOON, expires=NOON + 3600, error="refused")


@pytest.mark.parametrize("token", [{}, {"issued": ISSUED}, {"issued": "soon", "expires": EXPIRES}])
def test_what_tells_no_times_is_no_token(token: dict[str, str]) -> None:
    assert token_of(cluster(**token)) is None


def test_members_where_the_hubs_token_has_ended_get_a_new_credential() -> None:
    clusters = [
        cluster("good", issued=ISSUED, expires=EXPIRES),
        cluster("ended", issued=ISSUED, expires="2026-01-01T12:30:00Z"),
        cluster("without"),
        cluster("by-hand", spec={}),
        cluster("of-others"),
    ]
    members = ["good", "ended", "without", "by-hand", "not-joined"]
    assert without_token(clusters, members, NOON + 1800) == ["ended", "without"]


@pytest.mark.parametrize(
    ("minutes", "result", "seen", "hint"),
    [
        (20, "ok", "began 20 minutes ago, ends in 40 minutes", ""),
        (39, "ok", "began 39 minutes ago, ends in 21 minutes", ""),
        (41, "warn", "began 41 minutes ago, ends in 19 minutes", "logs deployment/multicluster-hub"),
        (61, "fail", "began 61 minutes ago, ended 1 minute ago", "./stack up dev issues a new credential"),
    ],
)
def test_doctor_tells_beginning_and_end_of_a_token(minutes: int, result: str, seen: str, hint: str) -> None:
    world = World()
    found = world["control-plane"].get("Cluster", "cluster-1")
    found["spec"] = {**found.get("spec", {}), **ASKED}
    found["status"]["token"] = {"issued": ISSUED, "expires": EXPIRES}
    world.at = NOON + minutes * 60
    check = world.checks()["control-plane: hub's token in cluster-1"]
    assert (check.result, check.seen) == (result, seen)
    assert hint in check.hint
    assert "control-plane: hub's token in cluster-2" not in world.checks(), (
        "one that is reached by a kubeconfig"
    )


def test_doctor_tells_why_a_token_is_not_renewed_and_that_there_is_none() -> None:
    world = World()
    found = world["control-plane"].get("Cluster", "cluster-1")
    found["spec"] = {**found.get("spec", {}), **ASKED}
    assert world.checks()["control-plane: hub's token in cluster-1"].seen == "there is none"
    found["status"]["token"] = {"issued": ISSUED, "expires": EXPIRES, "message": "it refuses"}
    world.at = NOON + 2400
    check = world.checks()["control-plane: hub's token in cluster-1"]
    assert check.seen == "began 40 minutes ago, ends in 20 minutes; not renewed: it refuses"


def test_a_member_whose_token_has_ended_is_said_to_begin_again() -> None:
    world = World()
    found = world["control-plane"].get("Cluster", "cluster-1")
    managed = {"type": "Managed", "status": "False", "message": "the hub's token expired"}
    found["spec"] = {**found.get("spec", {}), **ASKED}
    found["status"] = {"conditions": [managed], "token": {"issued": ISSUED, "expires": EXPIRES}}
    world.at = NOON + 7200
    check = world.checks()["control-plane: membership of cluster-1"]
    assert check.result == "fail"
    assert "./stack up dev issues a new credential" in check.hint
