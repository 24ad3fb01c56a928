"""./stack graph as a user calls it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from platforms.moments import moment
from platforms.world import SERVICE, World

from airgap.report import Report
from cli.arguments import parser
from cli.dashboard.frame import Moment
from cli.doctor.check import Check
from cli.doctor.platform import platform_checks
from cli.errors import UserError
from cli.graph import command
from cli.paths import Paths

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the file is written when nobody says where."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def graph(*words: str) -> int:
    paths = Paths(root=ROOT, cache=Path("cache"), state=Path("state"))
    return command.run(parser().parse_args(["graph", *words]), paths, Report())


def data(text: str) -> dict[str, Any]:
    (found,) = re.findall(r'<script type="application/json" id="picture">(.*)</script>', text)
    said: dict[str, Any] = json.loads(found)
    return said


def test_the_picture_of_the_settings_is_a_page_beside_the_user(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert graph("dev") == 0
    assert [path.name for path in here.iterdir()] == ["topology-dev.html"], "and nothing else is made"
    assert data((here / "topology-dev.html").read_text())["frame"]["shows"] == "settings"
    assert "Wrote topology-dev.html" in capsys.readouterr().err


def test_it_is_printed_when_that_is_asked_for(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert graph("dev", "--output", "-") == 0
    said = capsys.readouterr().out
    assert said.startswith("<!doctype html>")
    assert data(said)["frame"]["environment"] == "dev"
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("name", ["x.svg", "x.SVG", "folder/x.png", "x"])
def test_another_kind_of_file_is_refused_before_anything_is_done(
    here: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(command, "planned")
    with pytest.raises(
        UserError, match=rf"--output {name}: the picture is a page in HTML.*Name it x\.html"
    ) as refused:
        graph("dev", "--output", name)
    assert refused.value.code == 2


def test_a_place_that_cannot_be_written_is_told(here: Path) -> None:
    with pytest.raises(
        UserError, match=r"cannot write nowhere/x\.html: No such file.*choose another --output"
    ):
        graph("dev", "--output", "nowhere/x.html")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """What runs, as the collector and the doctor see it."""
    world = World()

    class Collector:
        def __init__(self, found: object) -> None:
            assert found is world

        async def once(self) -> Moment:
            found = moment(world)
            readings = [replace(one, due=math.inf) for one in found.readings]
            return replace(found, shows="moment", readings=readings)

    @asynccontextmanager
    async def running(_: object) -> AsyncIterator[World]:
        yield world

    async def after(found: World) -> list[Check]:
        return platform_checks(found.platform())

    for name, other in (("Collector", Collector), ("running", running), ("after", after)):
        monkeypatch.setattr(command, name, other)
    return world


def test_live_it_is_of_what_runs_with_what_the_doctor_says(
    here: Path, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world["cluster-3"].error = "connection refused"
    assert graph("dev", "--live", "--output", "dev.html") == 0
    said = data((here / "dev.html").read_text())
    assert said["frame"]["shows"] == "moment"
    assert [one["reach"] for one in said["frame"]["clusters"]] == ["up", "up", "up", "down"]
    assert "fail" in [one["result"] for one in said["doctor"]["cluster-3"]]
    assert "Missing from the picture: cluster-3: connection refused" in capsys.readouterr().err
    (service,) = said["frame"]["services"]
    assert (service["state"], service["why"]) == (
        "warn", "cluster-3 exports it and was not read: connection refused",
    )  # fmt: skip
    assert said["why"]["/".join(SERVICE)]["cluster-2"]
