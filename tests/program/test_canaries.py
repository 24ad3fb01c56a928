"""Timeouts and canaries of the settings reach their objects, and mean there what gateways take them for."""

from __future__ import annotations

import json
from typing import Any

from components.mesh import service_export
from gateway.core import timeouts

EXPORT = "cluster-1-dapr-test-nodeapp-export-object"


def test_the_timeouts_of_an_export_are_in_its_object(run: Any) -> None:
    said = {"request": "30s", "backendRequest": "5s"}
    made = run("dev", lambda config: config["exports"][0].update(timeouts=said)).find(EXPORT).inputs
    assert timeouts.read_timeouts(made) == timeouts.Timeouts("30s", "5s")
    assert json.loads(made["metadata"]["annotations"][service_export.TIMEOUTS]) == said
    assert service_export.TIMEOUTS not in run("dev").find(EXPORT).inputs["metadata"]["annotations"]
