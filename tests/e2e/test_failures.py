"""What callers in one cluster see while application, gateway and node of another die and come back.

Requests are safe ones (GET) at a bounded rate. Nothing may fail at all: a connection that is refused or
broken is tried elsewhere at once, and one that hangs when it is found to hang. What is bounded is how long
that may take.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from e2e.load import Clusters, Kubectl, Load

from cli.observe.view import is_ready

pytestmark = pytest.mark.e2e

DETECTION_SECONDS = 10.0
"""The stated bound, from the failure to the last request that noticed it: six seconds for a gateway that
swallows requests (its health checks), the rest for a machine that is busy with everything else."""
URL = "http://nodeapp.dapr-test:3000/ports"
NODE = "k3d-cluster-1-server-0"
APP = ("-n", "dapr-test", "pod", "-l", "app=node")
GATEWAY = ("-n", "multicluster-system", "pod", "-l", "app=gateway")
POLICIES = ("FailOver", "ActiveActive")


@pytest.fixture(scope="module", params=POLICIES)
def load(clusters: Clusters, request: pytest.FixtureRequest) -> Iterator[Load]:
    """Requests under way, shared by both exporters as the policy says, which is gone again at the end."""
    targets = [{"clusterKey": f"default/default/default/{name}"} for name in ("cluster-1", "cluster-3")]
    policy = {
        "apiVersion": "flomesh.io/v1alpha1", "kind": "GlobalTrafficPolicy",
        "metadata": {"name": "nodeapp", "namespace": "dapr-test"},
        "spec": {"lbType": request.param, "targets": targets},
    }  # fmt: skip
    clusters.asking("apply", "-f", "-", stdin=json.dumps(policy))
    try:
        with Load(clusters.asking, URL) as found:
            yield found
    finally:
        clusters.asking("delete", "-f", "-", "--ignore-not-found", stdin=json.dumps(policy))


@pytest.fixture(autouse=True)
def healthy_before_and_after(load: Load) -> Iterator[None]:
    load.until(lambda: load.served("cluster-1", "cluster-3"), "both clusters answer")
    yield
    load.until(lambda: load.served("cluster-1", "cluster-3"), "both clusters answer again", 240.0)


def check(report: dict[str, Any]) -> None:
    assert report["failed"] == 0, "every request could be answered by the other cluster"
    assert report["settled_after"] <= DETECTION_SECONDS


def ready(kubectl: Kubectl, pod: tuple[str, ...]) -> set[str]:
    """The pods that are ready, by what no other pod ever has."""
    listed = json.loads(kubectl(*pod[:2], "get", *pod[2:], "-o", "json"))["items"]
    return {found["metadata"]["uid"] for found in listed if is_ready(found)}


@pytest.mark.parametrize("pod", [APP, GATEWAY], ids=["application", "gateway"])
def test_a_pod_dies(clusters: Clusters, load: Load, tell: Any, pod: tuple[str, ...]) -> None:
    before, moment = ready(clusters.hurt, pod), time.time()
    clusters.hurt("delete", *pod, "--force", "--grace-period=0", "--wait=false")

    def noticed() -> bool:
        """A machine with nothing else to do may have the next pod ready before twenty requests miss it."""
        return load.served("cluster-3", among=20) or bool(ready(clusters.hurt, pod) - before)

    load.until(noticed, "the other cluster answers alone, or another pod")
    tell(report := load.report(moment))
    check(report)
    load.until(lambda: load.served("cluster-1", "cluster-3"), "the pod is back")
    assert load.report(moment)["failed"] == 0


@pytest.mark.parametrize("load", ["ActiveActive"], indirect=True)
def test_the_node_falls_silent(clusters: Clusters, load: Load, tell: Any) -> None:
    """Frozen: its kernel still takes connections, and nobody ever answers."""
    moment = time.time()
    clusters.docker("pause", NODE)
    try:
        load.until(lambda: load.served("cluster-3"), "the other cluster answers alone")
    finally:
        clusters.docker("unpause", NODE)
    tell(report := load.report(moment))
    check(report)


@pytest.mark.parametrize("load", ["FailOver"], indirect=True)
def test_the_node_dies(clusters: Clusters, load: Load, tell: Any) -> None:
    moment = time.time()
    clusters.docker("kill", NODE)
    try:
        load.until(lambda: load.served("cluster-3"), "the other cluster answers alone")
    finally:
        back = time.time()
        clusters.docker("start", NODE)
    tell(report := load.report(moment))
    check(report)
    load.until(lambda: load.served("cluster-1", "cluster-3"), "the node's cluster takes part again", 240.0)
    report = load.report(back)
    tell({**report, "back_after": round(time.time() - back, 1)})
    assert report["failed"] == 0, "a cluster that is only coming up gets no request it cannot answer"


@pytest.mark.parametrize("side", ["asking", "hurt"])
@pytest.mark.parametrize("load", ["ActiveActive"], indirect=True)
def test_a_gateway_is_replaced(clusters: Clusters, load: Load, tell: Any, side: str) -> None:
    """A rolling restart, of the callers' own gateway and of the one they are sent to, loses nothing."""
    moment = time.time()
    where = ("-n", "multicluster-system")
    cluster: Kubectl = getattr(clusters, side)
    cluster(*where, "rollout", "restart", "deployment/gateway")
    cluster(*where, "rollout", "status", "deployment/gateway", "--timeout=120s")
    settled = time.time()
    load.until(lambda: len(load.since(settled)) > 200, "the old pod is gone")
    tell(report := load.report(moment))
    assert report["failed"] == 0
