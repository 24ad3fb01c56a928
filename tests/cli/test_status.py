"""What ./stack status shows of a platform."""

from __future__ import annotations

import io

from platforms.world import World
from rich.console import Console

from cli import status


def shown(world: World) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(status.render(world.platform()))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_healthy_platform_shows_versions_conditions_and_shares() -> None:
    text = shown(World())
    assert "v1.34.4" in text
    assert "1.16.0" in text
    assert "FailOver to cluster-1 100, cluster-3 100" in text
    assert "cluster-1 50 %, cluster-3 50 %" in text
    assert "✗" not in text


def test_a_cluster_that_is_down_is_a_row_that_says_so() -> None:
    world = World()
    world["cluster-3"].error = "does not answer within 4 s"
    (row,) = [line for line in shown(world).splitlines() if line.startswith("│ ✗ │ cluster-3")]
    assert "does not answer within 4 s" in row


def test_problems_send_to_the_doctor() -> None:
    world = World()
    world["control-plane"].scale_to_zero("multicluster-hub")
    text = shown(world)
    assert "✗ control-plane: hub" in text
    assert "./stack doctor dev" in text


def test_json_carries_who_serves_what() -> None:
    found = status.as_json(World().platform())
    assert found["healthy"] is True
    (caller,) = [cluster for cluster in found["clusters"] if cluster["name"] == "cluster-2"]
    (route,) = [route for route in caller["serves"] if route["door"] == "east-west"]
    assert {part["cluster"].rpartition("/")[2]: part["percent"] for part in route["shares"]} == {
        "cluster-2": 0.0,
        "cluster-1": 50.0,
        "cluster-3": 50.0,
    }
    assert caller["policies"][0]["conditions"][0]["status"] == "True"


def test_json_of_a_cluster_that_is_down_says_why() -> None:
    world = World()
    world["cluster-1"].error = "connection refused"
    found = status.as_json(world.platform())
    assert found["healthy"] is False
    assert {"reachable": False, "error": "connection refused"}.items() <= found["clusters"][1].items()
