"""Timeouts of exports in the settings."""

from __future__ import annotations

import pytest
from config.environments import Config, changed, problems

from stacks.config import loading


def test_timeouts_are_said_as_gateway_api_says_them(dev: Config) -> None:
    said = {"request": "1m30s", "backendRequest": "500ms"}
    export = loading.parse(changed(dev, {"exports[0].timeouts": said})).exports[0]
    assert export.timeouts is not None
    assert (export.timeouts.request, export.timeouts.backend_request) == ("1m30s", "500ms")
    alone = loading.parse(changed(dev, {"exports[0].timeouts": {"request": "0s"}})).exports[0]
    assert alone.timeouts is not None
    assert (alone.timeouts.request, alone.timeouts.backend_request) == ("0s", None)


@pytest.mark.parametrize(
    ("changes", "mistakes"),
    [
        ({"exports[0].timeouts": {"request": "30"}}, ["exports[0].timeouts.request = '30': "]),
        ({"exports[0].timeouts": {"request": 30}}, ["exports[0].timeouts.request = 30: "]),
        ({"exports[0].timeouts": {"connect": "3s"}}, ["exports[0].timeouts.connect"]),
        (
            {"exports[0].timeouts": {"request": "5s", "backendRequest": "1m"}},
            ["exports[0].timeouts.backendRequest = '1m': is longer than request 5s"],
        ),
        ({"exports[0].timeouts": {"request": "0s", "backendRequest": "1m"}}, []),
        (
            {"exports[0].timeouts": {"request": "5s"}, "mesh": "flomesh", "versions": "article"},
            ["exports[0].timeouts: has no meaning for FSM. Remove it, or use `mesh: bundled`."],
        ),
    ],
)
def test_timeouts_that_cannot_be_kept_are_named(dev: Config, changes: Config, mistakes: list[str]) -> None:
    found = [problem for problem in problems(changed(dev, changes)) if "timeouts" in problem]
    assert len(found) == len(mistakes)
    assert all(one.startswith(mistake) for one, mistake in zip(found, mistakes, strict=True)), found
