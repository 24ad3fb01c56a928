"""Dapr apps call an app of other clusters by its app-id, unchanged, and the policy of their cluster decides.

Two callers, each a pod with a Dapr sidecar: one in cluster-2, where nobody is local, and one in cluster-1,
which runs nodeapp itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.load import Clusters, Kubectl, gateway_image
from e2e.steering import Steering

pytestmark = pytest.mark.e2e

WAYS = ("name", "invoke", "invoke-namespace", "header", "sdk")
SCRIPT = Path(__file__).with_name("app_caller.py").read_text()
SDK = Path(__file__).parent / "sdk" / "requirements.lock"
EVEN_WITHIN = 4
"""Calls of forty."""
FOLLOWED_SECONDS = 10.0
"""From a policy's change until calls follow: half a second, on a machine that is not busy with all else."""


class Caller:
    """A pod with a Dapr sidecar, and Dapr's Python SDK in a folder."""

    def __init__(self, kubectl: Kubectl, namespace: str, sdk: Path) -> None:
        self.kubectl, self.namespace = kubectl, namespace
        self.steering = Steering(kubectl)
        container = {
            "name": "caller", "image": gateway_image(kubectl), "imagePullPolicy": "IfNotPresent",
            "command": ["python", "-c", "import time; time.sleep(86400)"],
            "env": [{"name": "PYTHONPATH", "value": "/sdk"}],
            "volumeMounts": [{"name": "sdk", "mountPath": "/sdk"}],
        }  # fmt: skip
        annotations = {"dapr.io/enabled": "true", "dapr.io/app-id": "caller"}
        pod = {
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "app-caller", "namespace": namespace, "annotations": annotations},
            "spec": {
                "containers": [container], "terminationGracePeriodSeconds": 0,
                "volumes": [{"name": "sdk", "emptyDir": {}}], "securityContext": {"fsGroup": 65532},
            },
        }  # fmt: skip
        self.remove()
        kubectl("apply", "-f", "-", stdin=json.dumps(pod))
        kubectl("-n", namespace, "wait", "pod/app-caller", "--for=condition=Ready", "--timeout=120s")
        unpack = "import sys, tarfile; tarfile.open(fileobj=sys.stdin.buffer, mode='r|').extractall('/sdk')"
        with sdk.open("rb") as archive:
            argv = kubectl.argv(*self.exec("-i"), "python", "-c", unpack)
            subprocess.run(argv, env=kubectl.env, stdin=archive, check=True, timeout=120)

    def exec(self, *options: str) -> tuple[str, ...]:
        return ("-n", self.namespace, "exec", *options, "app-caller", "-c", "caller", "--")

    def calls(self, how: str, count: int = 20, path: str = "/ports") -> dict[str, int]:
        """Answers by cluster, or by what went wrong."""
        found: dict[str, int] = json.loads(
            self.kubectl(*self.exec(), "python", "-c", SCRIPT, how, path, str(count))
        )
        return found

    def until(self, how: str, clusters: set[str], seconds: float = 60.0) -> float:
        """Seconds until these clusters, and nobody else, answer."""
        began = time.monotonic()
        while set(found := self.calls(how, 4)) != clusters:
            assert time.monotonic() - began < seconds, f"{how}: {found}, not {clusters}"
        return time.monotonic() - began

    def until_even(self, how: str, seconds: float = 30.0) -> None:
        """Both exporters answer as often. While a Service is taken over, nodes send some calls to local pods
        past the gateways, until they have read that it is.
        """
        began = time.monotonic()
        while (
            set(found := self.calls(how, 40)) != {"cluster-1", "cluster-3"}
            or abs(found["cluster-1"] - 20) > EVEN_WITHIN
        ):
            assert time.monotonic() - began < seconds, f"{how}: {found}"

    def remove(self) -> None:
        where = ("-n", self.namespace, "pod", "app-caller")
        self.kubectl("delete", *where, "--ignore-not-found", "--now")


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dapr's Python SDK as a tar archive."""
    folder = tmp_path_factory.mktemp("sdk")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--target", str(folder / "sdk")]
    subprocess.run([*pip, "--require-hashes", "--no-deps", "-r", str(SDK)], check=True, timeout=300)
    archive = folder / "sdk.tar"
    subprocess.run(["tar", "-C", str(folder / "sdk"), "-cf", str(archive), "."], check=True, timeout=60)
    return archive


@pytest.fixture(scope="module")
def callers(clusters: Clusters, sdk: Path) -> Iterator[dict[str, Caller]]:
    found = {
        "cluster-2": Caller(clusters.asking, "curl", sdk),
        "cluster-1": Caller(clusters.hurt, "dapr-test", sdk),
    }
    yield found
    for caller in found.values():
        caller.steering.free()
        caller.remove()


@pytest.fixture(params=["cluster-2", "cluster-1"], ids=["nobody is local", "local pods"])
def caller(callers: dict[str, Caller], request: pytest.FixtureRequest) -> Caller:
    return callers[request.param]


@pytest.mark.parametrize("how", WAYS)
def test_three_policies(caller: Caller, how: str) -> None:
    local = "cluster-1" if caller.namespace == "dapr-test" else ""
    caller.steering.steer("ActiveActive", cluster_1=100, cluster_3=100)
    caller.until_even(how)
    caller.steering.steer("FailOver", cluster_3=100)
    caller.until(how, {local or "cluster-3"})
    caller.steering.steer("Locality")
    if local:
        caller.until(how, {local})
    else:
        found = caller.calls(how, 3)
        assert not set(found) & {"cluster-1", "cluster-3"}, "nobody is local: refused"
    caller.steering.steer("Locality", cluster_3=100)
    caller.until(how, {"cluster-3"})


def test_weights_hold_over_a_thousand_calls(callers: dict[str, Caller]) -> None:
    caller = callers["cluster-2"]
    caller.steering.steer("ActiveActive", cluster_1=10, cluster_3=90)
    caller.until("invoke", {"cluster-1", "cluster-3"})
    found = caller.calls("invoke", 1000)
    assert set(found) == {"cluster-1", "cluster-3"}, found
    assert abs(found["cluster-1"] - 100) <= 20


def test_a_change_of_the_policy_is_followed_by_app_id(callers: dict[str, Caller], tell: Any) -> None:
    caller = callers["cluster-2"]
    seconds = []
    for number in range(4):
        exporter = ("cluster-1", "cluster-3")[number % 2]
        caller.steering.steer("ActiveActive", **{exporter.replace("-", "_"): 100})
        seconds.append(round(caller.until("invoke", {exporter}), 2))
    tell({"followed": seconds})
    assert max(seconds) < FOLLOWED_SECONDS


class Ledger:
    """A service that two clusters run and export, with an app-id; it writes down what it executes."""

    def __init__(self, exporters: dict[str, Kubectl]) -> None:
        self.exporters = exporters

    def arrive(self) -> None:
        for name, kubectl in self.exporters.items():
            items = [*self._workload(name, kubectl), self._export()]
            kubectl(
                "apply", "-f", "-", stdin=json.dumps({"kind": "List", "apiVersion": "v1", "items": items})
            )
        for kubectl in self.exporters.values():
            kubectl("-n", "dapr-test", "rollout", "status", "deployment/ledger", "--timeout=120s")

    def leave(self) -> None:
        for kubectl in self.exporters.values():
            kinds = "serviceexports.flomesh.io,services,deployments"
            kubectl("-n", "dapr-test", "delete", kinds, "-l", "app=ledger", "--now")

    def executed(self, killed: str) -> Counter[str]:
        """How often each entry was executed, by the log of the pod that was killed and of those there are.

        A killed pod's log may end in the middle of a line, which tells of another entry or of none.
        """
        where = ("-n", "dapr-test", "logs", "-l", "app=ledger", "--tail=-1")
        logs = [killed, *(kubectl(*where) for kubectl in self.exporters.values())]
        whole = (log[: log.rfind("\n") + 1] for log in logs)
        return Counter(line.split()[1] for log in whole for line in log.splitlines() if " " in line)

    @staticmethod
    def _workload(name: str, kubectl: Kubectl) -> list[dict[str, Any]]:
        labels = {"app": "ledger"}
        container = {
            "name": "ledger", "image": gateway_image(kubectl), "imagePullPolicy": "IfNotPresent",
            "command": ["python", "-c", Path(__file__).with_name("ledger.py").read_text(), name],
            "readinessProbe": {"httpGet": {"path": "/", "port": 3000}, "periodSeconds": 1},
        }  # fmt: skip
        template = {
            "metadata": {"labels": labels},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
        }
        metadata = {"name": "ledger", "namespace": "dapr-test", "labels": labels}
        return [
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
             "spec": {"selector": {"matchLabels": labels}, "template": template}},
            {"apiVersion": "v1", "kind": "Service", "metadata": metadata,
             "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": 3000}]}},
        ]  # fmt: skip

    @staticmethod
    def _export() -> dict[str, Any]:
        return {
            "apiVersion": "flomesh.io/v1alpha1", "kind": "ServiceExport",
            "metadata": {
                "name": "ledger", "namespace": "dapr-test", "labels": {"app": "ledger"},
                "annotations": {"multicluster.flomesh.io/dapr-app-id": "ledger"},
            },
            "spec": {
                "pathRewrite": {"from": "^/ledger/?", "to": "/"},
                "rules": [{"portNumber": 80, "path": "/ledger", "pathType": "Prefix"}],
            },
        }  # fmt: skip


@pytest.fixture
def ledger(clusters: Clusters) -> Iterator[Ledger]:
    found = Ledger({"cluster-1": clusters.hurt, "cluster-3": clusters.other})
    yield found
    found.leave()


def test_an_app_arrives_takes_posts_while_one_of_it_is_killed_and_leaves(
    callers: dict[str, Caller], ledger: Ledger, tell: Any
) -> None:
    caller = callers["cluster-2"]
    steering = Steering(caller.kubectl, "ledger")
    steering.steer("ActiveActive", cluster_1=100, cluster_3=100)
    assert "ERR_DIRECT_INVOKE" in str(caller.calls("ledger", 1))
    ledger.arrive()
    arrived = caller.until("ledger", {"cluster-1", "cluster-3"})

    count, answered, hurt = 1200, dict[str, str](), ledger.exporters["cluster-1"]
    following = hurt.follow("-n", "dapr-test", "logs", "-f", "deployment/ledger")
    argv = caller.kubectl.argv(*caller.exec(), "python", "-c", SCRIPT, "post", "-", str(count))
    with subprocess.Popen(argv, env=caller.kubectl.env, stdout=subprocess.PIPE, text=True) as posting:
        for line in posting.stdout or ():
            number, said = json.loads(line)
            answered[str(number)] = said
            if len(answered) == count // 3:
                pods = ("pod", "-l", "app=ledger", "--force", "--grace-period=0", "--wait=false")
                hurt("-n", "dapr-test", "delete", *pods)

    done = {number for number, said in answered.items() if said.startswith("entry ")}
    killed, _ = following.communicate(timeout=30)
    executed = ledger.executed(killed)
    # The log of a killed pod ends with it: what it executed at that moment may be answered and not logged.
    tell({"posts": count, "answered": len(done), "failed": count - len(done), "executed": len(executed)})
    assert len(answered) == count, "none is lost without a word"
    assert max(executed.values()) == 1, "none is executed twice"
    assert len(done - set(executed)) <= 8, "what was answered was executed"
    assert count - len(done) <= 8, "only what was under way at the killed pod fails"

    ledger.leave()
    began = time.monotonic()
    while "ERR_DIRECT_INVOKE" not in str(found := caller.calls("ledger", 1)):
        assert time.monotonic() - began < 60, found
    tell({"arrived": round(arrived, 1), "left": round(time.monotonic() - began, 1)})
    steering.free()


def gateway_figures(kubectl: Kubectl) -> dict[str, float]:
    """Memory in MiB and client connections of the cluster's gateway."""
    where = ("-n", "multicluster-system")
    pod = kubectl(*where, "get", "pods", "-l", "app=gateway", "-o", "jsonpath={.items[0].metadata.name}")
    admin = f"/api/v1/namespaces/multicluster-system/pods/{pod}:9090/proxy/metrics"
    lines = kubectl("get", "--raw", admin).splitlines()
    metrics = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    memory = int(kubectl(*where, "exec", pod, "--", "python", "-c", MEMORY)) / 1024
    return {
        "MiB": round(memory, 1),
        "accepted": float(metrics["gateway_client_connections_total"]),
        "open": float(metrics["gateway_client_connections"]),
    }


MEMORY = "print(next(l.split()[1] for l in open('/proc/1/status') if l.startswith('VmRSS')))"


def test_bodies_stream_and_a_hundred_at_once_bring_no_storm(
    callers: dict[str, Caller], ledger: Ledger, tell: Any
) -> None:
    caller = callers["cluster-2"]
    steering = Steering(caller.kubectl, "ledger")
    steering.steer("ActiveActive", cluster_1=100, cluster_3=100)
    ledger.arrive()
    caller.until("ledger", {"cluster-1", "cluster-3"})
    before = gateway_figures(caller.kubectl)
    found = json.loads(caller.kubectl(*caller.exec(), "python", "-c", SCRIPT, "bodies", "-", "1"))
    after = gateway_figures(caller.kubectl)
    assert found["big"] == [10 * 2**20] * 8
    assert found["head"] == [200, 0]
    assert found["moved"] == "ready at /here", "Dapr's sidecar follows redirects itself"
    assert found["trace"] is True, "one trace end to end"
    assert found["size"] == str(48 * 2**16), "a body in chunks"
    assert after["MiB"] - before["MiB"] < 8, "no answer of 10 MiB is ever held"
    said = json.loads(caller.kubectl(*caller.exec(), "python", "-c", SCRIPT, "at_once", "-", "1"))
    storm = gateway_figures(caller.kubectl)
    tell({"before": before, "after": after, "storm": storm})
    assert said == {"answered": 1000}
    assert storm["accepted"] - after["accepted"] <= 1000, "at most one for each call: Dapr keeps but two idle"
    assert storm["open"] < 20, "and none is left open"
    steering.free()


NOT_OURS = (
    "code = Canceled desc = context canceled",  # of a sidecar's own streams, as it takes in an HTTPEndpoint
    "code = Unavailable", "code = DeadlineExceeded", "deadline exceeded",  # parts of Dapr that wait for
    "connection refused", "scheduler", "placement", "leader",  # each other, on a node that is busy
    '-dapr\\" already exists',  # the operator's: it makes a Service before it hears of the one it made
)  # fmt: skip


def test_operator_and_sidecars_say_nothing_of_errors(callers: dict[str, Caller]) -> None:
    for caller in callers.values():
        sidecar = caller.kubectl("-n", caller.namespace, "logs", "app-caller", "-c", "daprd")
        operator = caller.kubectl("-n", "dapr-system", "logs", "-l", "app=dapr-operator", "--tail=-1")
        lines = [*sidecar.splitlines(), *operator.splitlines()]
        bad = [line for line in lines if "level=error" in line or "level=fatal" in line]
        assert [line for line in bad if not any(said in line for said in NOT_OURS)] == []
