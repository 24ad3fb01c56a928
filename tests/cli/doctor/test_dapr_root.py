"""Age and end of the root that Dapr's sidecars trust."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from platforms.world import World, key, named

from cli.doctor.dapr_root import dapr_root_checks
from gateway.core.issuing import make_root

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
NAME = "cluster-1: Dapr's root"


def trusting(*pems: str) -> World:
    world = World()
    world.at = NOW.timestamp()
    world["cluster-1"].add(
        "ConfigMap", named("dapr-system", "dapr-trust-bundle", data={"ca.crt": "".join(pems)})
    )
    return world


def root(age: int, left: int) -> str:
    made = make_root(key("cluster-1"), NOW - timedelta(days=age), timedelta(days=age + left))
    return made.pem.decode()


@pytest.mark.parametrize(
    ("age", "left", "result", "seen"),
    [
        (100, 265, "ok", "began 100 days ago, ends in 265 days"),
        (260, 105, "warn", "began 260 days ago, ends in 105 days"),
        (365, -3, "fail", "began 365 days ago, ended 3 days ago"),
    ],
)
def test_it_is_warned_of_at_a_third_of_its_time(age: int, left: int, result: str, seen: str) -> None:
    check = trusting(root(age, left)).checks()[NAME]
    assert (check.result, check.seen) == (result, seen)


def test_of_several_the_one_that_lasts_counts() -> None:
    assert trusting(root(365, -3), root(3, 362)).checks()[NAME].seen == "began 3 days ago, ends in 362 days"


def test_who_made_it_is_told_how_to_renew_it() -> None:
    platform = trusting(root(365, -3)).platform()
    view = platform.cluster("cluster-1")
    (ours,) = dapr_root_checks(platform, view)
    assert "**dapr-trust-root-seed" in ours.hint
    settings = view.settings.model_copy(update={"dapr": "existing"})
    (theirs,) = dapr_root_checks(platform, replace(view, settings=settings))
    assert "docs.dapr.io" in theirs.hint


def test_what_cannot_be_read_is_said() -> None:
    broken = "-----BEGIN CERTIFICATE-----\nMQ==\n-----END CERTIFICATE-----\n"
    check = trusting(broken).checks()[NAME]
    assert (check.result, check.seen.partition(":")[0]) == ("warn", "cannot be read")
    assert "get configmap dapr-trust-bundle" in check.hint


def test_a_dapr_that_says_no_root_has_none_to_look_at() -> None:
    found: dict[str, Any] = trusting().checks()
    assert NAME not in found
    assert NAME not in World().checks()
