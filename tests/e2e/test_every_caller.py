"""A policy holds for callers whose own cluster has ready pods, by every name of the service, at every moment.

The callers are pods of cluster-1, which exports nodeapp itself. Requests are safe ones at a bounded rate.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Self

import pytest
from e2e.load import Clusters, Kubectl, Load
from e2e.steering import Steering

pytestmark = pytest.mark.e2e

URL = "http://nodeapp.dapr-test:3000/ports"
SYSTEM = ("-n", "multicluster-system")
APP = ("-n", "dapr-test")
TURNS = 20
RATE = 100
"""Requests a second, at least, while everything is turned over."""
FOLLOWED_SECONDS = 10.0
"""From the end of an apply until callers reach the gateways again: half a second, on a machine that is not
busy with all else."""


class Exporter:
    """cluster-1, and what is done to it."""

    def __init__(self, kubectl: Kubectl) -> None:
        self.kubectl = kubectl
        self._steering = Steering(kubectl)
        found = json.loads(kubectl(*APP, "get", "service", "nodeapp", "-o", "json"))
        self.service = {
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "nodeapp", "namespace": "dapr-test", "labels": found["metadata"]["labels"]},
            "spec": {"selector": {"app": "node"}, "ports": found["spec"]["ports"]},
        }  # fmt: skip

    def steer(self, lb_type: str, **weights: int) -> None:
        self._steering.steer(lb_type, **weights)
        wanted = "NotNeeded" if lb_type == "Locality" and "cluster_3" not in weights else "TakenOver"
        self.wait(lambda: self.reach() == wanted, f"the policy says {wanted}")

    def reach(self) -> str:
        """Why the policy holds for every caller or not; empty until the endpoints are as it says."""
        found = str(self._steering.reach().get("reason", ""))
        return "" if found == "TakenOver" and self.endpoints() != self.gateways() else found

    def free(self) -> None:
        self._steering.free()

    def why(self) -> str:
        return str(self._steering.reach().get("message", ""))

    def apply_the_service(self) -> None:
        """As whoever deploys it does: with its selector."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(self.service))

    def roll(self, *deployment: str) -> None:
        self.kubectl(*deployment[:2], "rollout", "restart", f"deployment/{deployment[2]}")
        self.kubectl(*deployment[:2], "rollout", "status", f"deployment/{deployment[2]}", "--timeout=180s")

    def endpoints(self) -> set[str]:
        """Addresses behind the Service's own name."""
        return listed(
            json.loads(self.kubectl(*APP, "get", "endpointslices", "-l", NAMED, "-o", "json"))["items"]
        )

    def gateways(self) -> set[str]:
        return self._addresses(*SYSTEM, "app=gateway")

    def pods(self) -> set[str]:
        return self._addresses(*APP, "app=node")

    def _addresses(self, *where: str) -> set[str]:
        pods = json.loads(self.kubectl(*where[:2], "get", "pods", "-l", where[2], "-o", "json"))["items"]
        return {
            pod["status"]["podIP"]
            for pod in pods
            if not pod["metadata"].get("deletionTimestamp")
            and any(
                c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", [])
            )
        }

    def wait(self, check: Any, what: str, seconds: float = 60.0) -> float:
        """Seconds until `check` is true."""
        started = time.monotonic()
        while not check():
            assert time.monotonic() - started < seconds, f"not within {seconds:g} s: {what}"
            time.sleep(0.1)
        return time.monotonic() - started


NAMED = "kubernetes.io/service-name=nodeapp"


def listed(slices: list[Any]) -> set[str]:
    return {
        address
        for one in slices
        for endpoint in one.get("endpoints") or []
        if endpoint.get("conditions", {}).get("ready") is not False
        for address in endpoint["addresses"]
    }


class Watch:
    """Every state of the Service's endpoints, as a watch tells them."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self.states: list[tuple[float, set[str]]] = []
        """When, and the addresses that are endpoints from then on."""

    def __enter__(self) -> Self:
        where = ("get", "endpointslices", "-l", NAMED, "--watch", "--output-watch-events", "-o", "json")
        self._process = self._kubectl.follow(*APP, *where)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        return self

    def _read(self) -> None:
        assert self._process.stdout is not None
        decoder, text, slices = json.JSONDecoder(), "", dict[str, Any]()
        for line in self._process.stdout:
            text += line
            try:
                event, end = decoder.raw_decode(text.lstrip())
            except ValueError:
                continue
            text = text.lstrip()[end:]
            name = event["object"]["metadata"]["name"]
            slices.pop(name, None)
            if event["type"] != "DELETED":
                slices[name] = event["object"]
            self.states.append((time.time(), listed(list(slices.values()))))

    def settled(self, addresses: set[str], since: float) -> float:
        """Seconds after `since` from when on these, and no others, were the endpoints."""
        before = [when for when, found in self.states if found != addresses]
        return max(0.0, min(when for when, _ in self.states if when > max(before, default=0.0)) - since)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._thread.join(timeout=5)
        if self._process.stdout is not None:
            self._process.stdout.close()


@pytest.fixture(scope="module")
def exporter(clusters: Clusters) -> Exporter:
    return Exporter(clusters.hurt)


@pytest.fixture(autouse=True)
def as_it_was(exporter: Exporter) -> Iterator[None]:
    yield
    exporter.free()
    exporter.wait(lambda: exporter.endpoints() == exporter.pods(), "local pods serve callers again")


def shares(load: Load, count: int) -> Counter[str]:
    """Who answered so many calls that begin from now on."""
    begun = time.time()
    load.until(lambda: len(load.since(begun)) >= count, f"{count} calls")
    return Counter(call.cluster or f"{call.status} {call.said[:80]}" for call in load.since(begun)[:count])


def followed(load: Load, *clusters: str) -> None:
    """Wait for the gateway: where the Service was taken over before, no condition says when it follows."""
    load.until(lambda: load.served(*clusters, among=16), "the policy is followed", 30.0)


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "http://nodeapp:3000/ports",
        "http://nodeapp.dapr-test.svc.cluster.local.:3000/ports",
        "http://nodeapp.dapr-test.svc.clusterset.local:3000/ports",
    ],
    ids=["name", "short", "full", "clusterset"],
)
def test_every_name_follows_the_policy(exporter: Exporter, url: str) -> None:
    with Load(exporter.kubectl, url, callers=8, fresh=True, namespace="dapr-test") as load:
        assert shares(load, 40) == {"cluster-1": 40}, "without a policy local pods serve"
        exporter.steer("ActiveActive", cluster_1=100, cluster_3=100)
        followed(load, "cluster-1", "cluster-3")
        found = shares(load, 200)
        assert set(found) == {"cluster-1", "cluster-3"}
        assert abs(found["cluster-1"] - 100) <= 10
        exporter.steer("ActiveActive", cluster_1=0, cluster_3=100)
        followed(load, "cluster-3")
        assert shares(load, 60) == {"cluster-3": 60}, "its own cluster is drained"
        exporter.steer("FailOver", cluster_3=100)
        followed(load, "cluster-1")
        assert shares(load, 60) == {"cluster-1": 60}, "local pods are well"
        exporter.steer("Locality", cluster_3=100)
        followed(load, "cluster-3")
        assert shares(load, 60) == {"cluster-3": 60}, "pinned to another cluster"


def test_a_local_pod_that_refuses_is_failed_over(exporter: Exporter, tell: Any) -> None:
    """Killed, it counts as ready until Kubernetes has noticed."""
    exporter.steer("FailOver", cluster_3=100)
    with Load(exporter.kubectl, URL, callers=8, fresh=True) as load:
        load.until(lambda: load.served("cluster-1"), "local pods serve")
        moment = time.time()
        exporter.kubectl(
            *APP, "delete", "pod", "-l", "app=node", "--force", "--grace-period=0", "--wait=false"
        )
        load.until(
            lambda: "cluster-3" in {call.cluster for call in load.since(moment)}, "the other cluster answers"
        )
        load.until(lambda: load.served("cluster-1"), "the local pod is back")
        tell(report := load.report(moment))
    assert report["failed"] == 0


def test_without_a_ready_gateway_local_pods_serve_directly(exporter: Exporter, tell: Any) -> None:
    exporter.steer("ActiveActive", cluster_1=0, cluster_3=100)
    with Load(exporter.kubectl, URL, callers=8, fresh=True) as load:
        load.until(lambda: load.served("cluster-3"), "as the policy has it")
        began = time.time()
        exporter.kubectl(*SYSTEM, "scale", "deployment/gateway", "--replicas=0")
        exporter.kubectl(
            *SYSTEM, "delete", "pod", "-l", "app=gateway", "--force", "--grace-period=0", "--wait=false"
        )
        try:
            load.until(lambda: load.served("cluster-1"), "local pods serve directly")
            first = min(call.began for call in load.since(began) if call.cluster == "cluster-1")
            last = max(
                (call.began for call in load.since(began) if call.cluster != "cluster-1"), default=began
            )
            tell(
                {
                    "direct_after": round(last - began, 2),
                    "first": round(first - began, 2),
                    **load.report(began),
                }
            )
            assert last - began < 5
        finally:
            exporter.kubectl(*SYSTEM, "scale", "deployment/gateway", "--replicas=1")
        load.until(lambda: load.served("cluster-3"), "and back")


def test_twenty_turns_fail_no_call(exporter: Exporter, tell: Any) -> None:
    """Policy on, applied again, app rolled out, gateway rolled out, policy off: round and round."""
    turns = [
        lambda: exporter.steer("ActiveActive", cluster_1=100, cluster_3=100),
        exporter.apply_the_service,
        lambda: exporter.roll(*APP, "nodeapp"),
        lambda: exporter.roll(*SYSTEM, "gateway"),
        exporter.free,
    ]
    asking = Load(exporter.kubectl, URL, callers=RATE // 6, fresh=True)
    with asking as load, Watch(exporter.kubectl) as watch:
        load.until(lambda: load.served("cluster-1"), "calls flow")
        began = time.time()
        followed = []
        for number in range(TURNS):
            turn = turns[number % len(turns)]
            turn()
            moment = time.time()
            if turn in turns[1:4]:
                what = f"turn {number}: callers reach the gateways"
                exporter.wait(lambda: exporter.endpoints() == exporter.gateways(), what)
            if turn == exporter.apply_the_service:
                followed.append(round(watch.settled(exporter.gateways(), moment), 2))
            time.sleep(0.5)
        load.until(lambda: len(load.since(began)) > TURNS * RATE, "some more")
        report = load.report(began)
        rate = round(report["requests"] / (time.time() - began))
        tell({**report, "rate": rate, "states": len(watch.states), "followed": followed})
    assert report["failed"] == 0
    assert len(watch.states) > TURNS
    assert all(found for _, found in watch.states), "at no moment the Service was without endpoints"
    assert max(followed) < FOLLOWED_SECONDS


def test_whoever_puts_the_selector_back_at_every_turn_is_named(exporter: Exporter) -> None:
    exporter.steer("ActiveActive", cluster_1=100, cluster_3=100)

    def contested() -> bool:
        exporter.apply_the_service()
        time.sleep(1.5)
        return exporter.reach() == "SelectorContested"

    exporter.wait(contested, "it is left to its owner", 120.0)
    assert exporter.why().startswith("kubectl keeps putting the selector back")
    exporter.wait(lambda: exporter.endpoints() == exporter.pods(), "local pods serve callers directly")
