"""The picture of a topology."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml
from platforms.world import CONFIG, World, http_endpoint

from cli.graph.draw import draw
from cli.graph.picture import Picture, live, planned
from stacks.config.loading import parse, parse_stack_file

ROOT = Path(__file__).resolve().parents[3]
SVG = "{http://www.w3.org/2000/svg}"


def as_configured() -> Picture:
    return planned("dev", parse(CONFIG))


def sixteen_members() -> Picture:
    return planned("scale", parse_stack_file(yaml.safe_load((ROOT / "Pulumi.scale.yaml").read_text())))


def with_faults() -> Picture:
    world = World()
    world["cluster-3"].error = "does not answer within 4 s"
    world["cluster-2"].ejected = {"172.28.0.1:83"}
    world["cluster-2"].follow()
    world.containers["multicluster-dapr-dev-redis"] = "exited"
    return live(world.platform())


@pytest.mark.parametrize("picture", [as_configured, sixteen_members, with_faults])
def test_the_picture_is_that_of_the_golden_file(
    picture: Callable[[], Picture], golden: Callable[[str, str], None]
) -> None:
    golden(f"{picture.__name__}.svg", draw(picture()))


@pytest.mark.parametrize("picture", [as_configured, sixteen_members, with_faults])
def test_no_card_covers_another_and_all_are_inside(picture: Callable[[], Picture]) -> None:
    root = parsed(picture())
    cards = [rect for rect in root.iter(f"{SVG}rect") if rect.get("stroke")]
    boxes = [tuple(float(rect.get(name, 0)) for name in ("x", "y", "width", "height")) for rect in cards]
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for number, (x, y, w, h) in enumerate(boxes):
        assert x >= 0 and y >= 0 and x + w <= width and y + h <= height  # noqa: PT018
        for left, top, across, down in boxes[:number]:
            apart = x >= left + across or left >= x + w or y >= top + down or top >= y + h
            assert apart, "two cards overlap"


def parsed(picture: Picture) -> ET.Element:
    return ET.fromstring(draw(picture))  # noqa: S314 - our own text


def words(picture: Picture) -> str:
    return " | ".join(text.text or "" for text in parsed(picture).iter(f"{SVG}text"))


def test_the_settings_show_roles_ports_apps_exports_and_policies() -> None:
    text = words(as_configured())
    for wanted in ("gateway 127.0.0.1:81, API :6445", "nodeapp in dapr-test", "dapr-test/nodeapp: FailOver",
                   "exports dapr-test/nodeapp: 3000 at /nodeapp", "172.28.0.1:6379", "hub"):  # fmt: skip
        assert wanted in text


def test_live_shows_shares_in_force_and_what_is_broken() -> None:
    assert words(live(World().platform())).count("50 %") == 4, "two calls of cluster-2, two of the front door"
    text = words(with_faults())
    assert "3 of 4 clusters answer" in text
    assert "ejected" in text
    assert "API server: does not answer within 4 s" in text
    assert "stopped" in text


def test_a_policy_its_gateway_does_not_follow_says_so() -> None:
    world = World()
    policy = world["cluster-2"].get("GlobalTrafficPolicy", "nodeapp")
    policy["status"]["conditions"][0]["status"] = "False"
    assert "dapr-test/nodeapp: FailOver, not programmed" in words(live(world.platform()))


def test_a_policy_that_callers_of_local_pods_go_past_says_so() -> None:
    world = World()
    world.take_over(reason="Headless", message="it is headless")
    assert "dapr-test/nodeapp: ActiveActive, not by name" in words(live(world.platform()))
    assert words(live(world.platform())).count("50 % by cluster set") == 1
    world["cluster-1"].add("HTTPEndpoint", http_endpoint())
    assert words(live(world.platform())).count("50 % by app-id") == 1


def test_a_policy_for_every_caller_has_plain_shares() -> None:
    world = World()
    world.take_over()
    text = words(live(world.platform()))
    assert "not by name" not in text
    assert text.count("50 %") == 5, "one more call of cluster-1"


def test_a_policy_that_is_not_for_every_caller_is_drawn_so_before_anything_runs() -> None:
    policy = {"cluster": "cluster-1", "namespace": "dapr-test", "name": "nodeapp", "lbType": "ActiveActive"}
    for asked in (True, False):
        text = words(planned("dev", parse(CONFIG | {"policies": [{**policy, "everyCaller": asked}]})))
        assert ("ActiveActive, not by name" in text) is not asked


def test_without_a_policy_the_picture_says_why_nothing_crosses() -> None:
    assert "no policy lets calls leave their cluster" in words(
        planned("dev", parse(CONFIG | {"policies": []}))
    )


def test_names_are_escaped() -> None:
    drawn = draw(planned("a<b", parse(CONFIG)))
    assert "a&lt;b" in drawn
    assert not re.search(r"a<b", drawn)
