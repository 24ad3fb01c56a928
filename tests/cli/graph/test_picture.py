"""What a file holds of clusters that were read."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import replace

import pytest
from platforms.moments import large, moment
from platforms.world import SERVICE, World

from cli.dashboard.frame import Moment, frame
from cli.dashboard.words import Query
from cli.doctor.paths import path_checks
from cli.doctor.platform import platform_checks
from cli.graph import picture
from cli.graph.picture import Picture, of_clusters

NODEAPP = "/".join(SERVICE)
AT = 1_000.0


def taken(world: World) -> Picture:
    """The picture of a world, and of what the doctor says of it."""
    platform = world.platform()
    checks = [*platform_checks(platform), *path_checks(platform, world.reached())]
    return of_clusters(at_once(moment(world, at=AT)), checks)


def at_once(found: Moment) -> Moment:
    """As the collector has it that reads one time."""
    readings = [replace(one, due=math.inf) for one in found.readings]
    return replace(found, shows="moment", platform=replace(found.platform, at=AT), readings=readings)


def test_it_holds_the_frame_and_what_the_page_would_ask_for() -> None:
    found = taken(World())
    assert (found["frame"]["shows"], found["frame"]["at"]) == ("moment", AT)
    assert {one["reach"] for one in found["frame"]["clusters"]} == {"up"}
    assert set(found["details"]) == {"control-plane", "cluster-1", "cluster-2", "cluster-3", NODEAPP}
    service = found["details"][NODEAPP]
    assert {one["cluster"] for one in service["exports"]} == {"cluster-1", "cluster-3"}
    assert service["exports"][0]["conditions"][0]["type"] == "Valid"
    hops = found["why"][NODEAPP]["cluster-2"]
    assert (hops[0]["decided"], "cluster-1 50 %" in hops[1]["decided"]) == ("the gateway", True)
    assert found["doctor"] is not None
    assert any(one["name"].startswith(f"cluster-2 → {NODEAPP}") for one in found["doctor"][NODEAPP])
    assert found["left_out"] == ""
    json.dumps(found, allow_nan=False)


def test_a_cluster_says_what_the_settings_have_of_it() -> None:
    found = taken(World())["details"]
    assert found["cluster-1"]["settings"] == [
        ["address", "gateway 127.0.0.1:81, API :6445"],
        ["app", "nodeapp in dapr-test"],
        ["export", f"{NODEAPP}: 3000 at /nodeapp"],
        ["state store", "Redis at 172.28.0.1:6379"],
    ]
    assert ["front door", f"/nodeapp to {NODEAPP}"] in found["control-plane"]["settings"]


def test_what_is_broken_is_in_it() -> None:
    world = World()
    world["cluster-3"].error = "does not answer within 4 s"
    world["cluster-2"].ejected = {"172.28.0.1:83"}
    world["cluster-2"].follow()
    found = taken(world)
    gone = found["frame"]["clusters"][3]
    assert (gone["reach"], gone["error"]) == ("down", "does not answer within 4 s")
    assert found["frame"]["problems"]
    assert found["doctor"] is not None
    assert "fail" in [one["result"] for one in found["doctor"]["cluster-3"]]
    (ejected,) = [one for one in found["frame"]["links"] if one["ejected"]]
    assert (ejected["source"], ejected["target"]) == (2, 3)


@pytest.mark.parametrize("words", ["", "service-1", "ns-3"])
def test_the_links_of_services_add_up_to_those_of_the_frame_that_is_filtered(words: str) -> None:
    shown = replace(large(8, 40), shows="moment")
    found = of_clusters(shown, [])
    sums: defaultdict[tuple[int, int], list[float]] = defaultdict(lambda: [0, 0, 0])
    for name, listed in found["links"].items():
        for source, target, services, percent, ejected in listed if words in name else ():
            before = sums[source, target]
            sums[source, target] = [before[0] + services, max(before[1], percent), before[2] + ejected]
    wanted = frame(shown, Query(text=words), AT)["links"]
    assert {pair: tuple(one) for pair, one in sums.items()} == {
        (one["source"], one["target"]): (one["services"], one["percent"], one["ejected"]) for one in wanted
    }


def test_of_so_many_services_none_is_looked_into_and_the_file_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(picture, "MOST_PAIRS", 8 * 40)
    assert len(of_clusters(large(8, 40), [])["details"]) == 48
    monkeypatch.setattr(picture, "MOST_PAIRS", 8 * 40 - 1)
    found = of_clusters(large(8, 40), [])
    assert set(found["details"]) == {f"cluster-{number}" for number in range(8)}
    assert "40 services in 8 clusters: ./stack dashboard large" in found["left_out"]
    assert len(found["frame"]["services"]) == 40


def test_64_clusters_with_500_services_are_a_file_of_a_few_megabytes() -> None:
    assert len(json.dumps(of_clusters(large(64, 500), []))) < 4_000_000
