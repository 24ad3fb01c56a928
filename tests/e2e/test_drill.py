"""A drill on the running platform: an app and a gateway are lost and come back, also when it is killed.

cluster-2 calls what cluster-1 and cluster-3 serve.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from e2e.commands import ENVIRONMENT, ROOT, stack, state_folder
from e2e.load import Clusters
from e2e.steering import Steering

pytestmark = pytest.mark.e2e

BOTH = {"cluster-1", "cluster-3"}
GATEWAY = ("-n", "multicluster-system", "get", "deployment/gateway")
CLIENTS = ("-n", "multicluster-system", "get", "pods", "-l", "app=drill-client", "-o", "name")
JOURNAL = state_folder() / "drill.json"


@pytest.fixture(scope="module", autouse=True)
def shared(clusters: Clusters) -> Iterator[None]:
    """Both exporters serve the callers of cluster-2."""
    steering = Steering(clusters.asking)
    steering.steer("ActiveActive", cluster_1=100, cluster_3=100)
    yield
    steering.free()


@pytest.fixture(autouse=True)
def nothing_is_left(clusters: Clusters) -> Iterator[None]:
    yield
    assert not JOURNAL.exists()
    assert replicas(clusters) == "1"
    wait(lambda: not clusters.asking(*CLIENTS), "the client pod is gone")


def replicas(clusters: Clusters) -> str:
    return clusters.hurt(*GATEWAY, "-o", "jsonpath={.spec.replicas}")


def wait(check: Callable[[], bool], what: str, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.2)


def check(report: dict[str, Any]) -> None:
    """The platform keeps the default budget, and the calls went where they could."""
    assert report["passed"], report["budget"]
    assert set(report["all"]["before"]) == set(report["all"]["after"]) == BOTH
    assert report["all"]["settled"] == {"cluster-3": 100.0}, "the other cluster serves alone"


def test_an_app_is_lost_and_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "drill.xml"
    said = stack("drill", ENVIRONMENT, "--lose", "app:cluster-1", "--from", "cluster-2", "--path", "/ports",
                 "--for", "15s", "--junit", str(file))  # fmt: skip
    assert "Without the app dapr-test/nodeapp in cluster-1" in said
    (suite,) = ET.fromstring(file.read_text())  # noqa: S314 - our own
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("3", "0")


def test_a_gateway_is_lost_and_comes_back(tell: Any) -> None:
    said = stack("drill", ENVIRONMENT, "--lose", "gateway:cluster-1", "--from", "cluster-2", "--path",
                 "/ports", "--for", "15s", "--json")  # fmt: skip
    report = json.loads(said[said.index("\n{\n") : said.rindex("\n}\n") + 3])
    tell({bound["name"]: bound["seen"] for bound in report["budget"]})
    check(report)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_drill_that_is_ended_has_put_back_or_is_put_back_by_the_next(
    clusters: Clusters, number: int
) -> None:
    argv = ["drill", ENVIRONMENT, "--lose", "gateway:cluster-1", "--from", "cluster-2", "--path", "/ports"]
    child = subprocess.Popen([str(ROOT / "stack"), *argv, "--for", "5m"], start_new_session=True)
    try:
        wait(lambda: replicas(clusters) == "0", "the gateway is taken away")
        assert "deployment/gateway" in JOURNAL.read_text()
        child.send_signal(number)
        code = child.wait(timeout=90)
    finally:
        child.kill()
    if number == signal.SIGKILL:
        assert JOURNAL.exists()
        stack("drill", ENVIRONMENT, "--undo")
    else:
        assert code == 130, "interrupted, and put back"
