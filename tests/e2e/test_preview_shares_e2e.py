"""What `./stack preview` foretells is what calls then show: twelve combinations, a thousand calls of each.

The settings have a service `bazaar/stall` for every combination of policy, pods in the callers' cluster and a
lost cluster; who would serve it is read from the preview of these settings. On the running platform kubectl
makes the very objects that the program would make of them, so that a combination is reached in seconds.

A share is as foretold when it is within four standard deviations of that many independent draws: one share
in fifteen thousand is further away by chance alone, and weighted round robin stays far nearer. What is
foretold to serve nothing, or all, does so to the last call.
"""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.commands import ROOT
from e2e.load import Clusters, Kubectl, gateway_image

from airgap.report import Report
from cli.arguments import parser
from cli.paths import PROJECT, Paths
from cli.preview import command

pytestmark = [pytest.mark.e2e, pytest.mark.long]

NAMESPACE, SERVICE = "bazaar", "stall"
HERE = ("-n", NAMESPACE)
ASKING, LOST = "cluster-2", "cluster-1"
WITH_PODS = (LOST, ASKING, "cluster-3")
CALLS, CALLERS, PAUSE = 1000, 4, 0.02
"""At most two hundred calls a second."""
REFUSED_CALLS = 100
"""Of callers whom nobody serves. A kernel refuses one connection a second and leaves the others to time
(`icmp_ratelimit`), and all or nothing needs no thousand."""
SETTLED_CALLS = 40
SETTLED_SECONDS = 60.0
"""Bound for a policy to be followed, a pod to start, or a lost cluster to be left out."""
POLICIES: Mapping[str, list[dict[str, Any]]] = {
    "Locality": [],
    "FailOver": [{"cluster": LOST, "weight": 3}, {"cluster": "cluster-3", "weight": 1}],
    "ActiveActive": [
        {"cluster": ASKING, "weight": 2},
        {"cluster": LOST, "weight": 1},
        {"cluster": "cluster-3", "weight": 1},
    ],
}  # fmt: skip
NOBODY = "nobody"
SERVER = """
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
SAID = os.environ["CLUSTER"].encode()
class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(SAID)))
        self.end_headers()
        self.wfile.write(SAID)
    def log_message(self, *_):
        pass
ThreadingHTTPServer(("", 8080), Answer).serve_forever()
"""
CALLER = """
import json, sys, threading, time
from collections import Counter
from http.client import HTTPConnection, HTTPException
host, calls, callers, pause = sys.argv[1], *map(float, sys.argv[2:])
counted = Counter()
def ask():
    connection = HTTPConnection(host, 80, timeout=10)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        said = answer.read().decode()
        return said if answer.status == 200 else "nobody"
    except (OSError, HTTPException):
        return "nobody"
    finally:
        connection.close()
def work():
    for _ in range(int(calls / callers)):
        began = time.monotonic()
        counted[ask()] += 1
        time.sleep(max(0, pause - (time.monotonic() - began)))
threads = [threading.Thread(target=work) for _ in range(int(callers))]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps(counted))
"""


@dataclass(frozen=True)
class Case:
    """One combination. `local`: the callers' cluster has pods of the service. `lost`: a cluster is lost."""

    policy: str
    local: bool
    lost: bool

    def __str__(self) -> str:
        return f"{self.policy}, {'local pods' if self.local else 'none'}{', one lost' if self.lost else ''}"


CASES = [
    Case(policy, local, lost) for lost in (False, True) for local in (True, False) for policy in POLICIES
]


def settings(policy: str, *, local: bool) -> dict[str, Any]:
    """The environment with the service; of the policies its own alone."""
    source: dict[str, Any] = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]
    app = {
        "name": SERVICE, "namespace": NAMESPACE, "image": "stall:1", "clusters": list(WITH_PODS),
        "ports": [{"port": 80, "targetPort": 8080}], "overrides": {ASKING: {"replicas": int(local)}},
    }  # fmt: skip
    named = {"namespace": NAMESPACE, "service": SERVICE, "clusters": list(WITH_PODS)}
    steering = {"cluster": ASKING, "namespace": NAMESPACE, "name": SERVICE, "lbType": policy}
    source[f"{PROJECT}:apps"] = [*source[f"{PROJECT}:apps"], app]
    source[f"{PROJECT}:exports"] = [{**named, "rules": [{"portNumber": 80}]}]
    source[f"{PROJECT}:policies"] = [{**steering, "targets": POLICIES[policy]}]
    return {"config": source}


class Preview:
    """`./stack preview --json` of settings in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.root.mkdir()
        for name in ("stacks", "components", "proxy", "apps"):
            (self.root / name).symlink_to(ROOT / name)
        self.paths = Paths(root=self.root, cache=folder / "cache", state=folder / "state")

    def of(self, policy: str, *, local: bool) -> dict[str, Any]:
        """All that it says."""
        (self.root / "Pulumi.own.yaml").write_text(yaml.safe_dump(settings(policy, local=local)))
        printed = io.StringIO()
        with redirect_stdout(printed):
            command.run(parser().parse_args(["preview", "own", "--json"]), self.paths, Report())
        said: dict[str, Any] = json.loads(printed.getvalue())
        return said

    def objects(self, policy: str) -> dict[str, list[dict[str, Any]]]:
        """What the program would make for the service, by cluster."""
        file = self.root / "planned.yaml"
        file.write_text(yaml.safe_dump(settings(policy, local=True)))
        done = subprocess.run(
            [sys.executable, "-m", "stacks.program.planned", str(file)],
            cwd=ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return {
            cluster: [one for one in listed if NAMESPACE in one["metadata"].values()]
            for cluster, listed in json.loads(done.stdout)["objects"].items()
        }


def foretold(said: Mapping[str, Any], *, lost: bool) -> dict[str, float]:
    """Who would serve callers of the service's own name in the asking cluster: parts from 0 to 1."""

    def own(rows: list[Any]) -> list[Any]:
        return [
            row for row in rows
            if row["client"].endswith(f"/{ASKING}") and row["callers"] == [f"{SERVICE}.{NAMESPACE}"]
        ]  # fmt: skip

    (row,) = own(said["rows"])
    key = next(key for key in said["lost"] if key.endswith(f"/{LOST}"))
    (row, *_) = [*(own(said["lost"][key]) if lost else []), row]
    parts = {one["cluster"].rpartition("/")[2]: one["percent"] / 100 for one in row["served"]}
    return {name: part for name, part in {**parts, NOBODY: row["refused"] / 100}.items() if part}


class Bazaar:
    """The service on the running platform."""

    def __init__(self, kubectl: Mapping[str, Kubectl], preview: Preview) -> None:
        self.kubectl, self._preview = kubectl, preview
        self.policies = {
            name: _of(preview.objects(name)[ASKING], "GlobalTrafficPolicy")[0] for name in POLICIES
        }

    def open(self) -> None:
        """Namespaces, pods, Services and exports in all clusters, and a pod to call from."""
        planned = self._preview.objects("FailOver")
        made = {name: planned[name] for name in WITH_PODS}
        for cluster, listed in made.items():
            self._apply(cluster, *_of(listed, "Namespace", "Service"), self._pods(cluster))
        # Last, as the program makes them: an import would derive the Service where there is none yet.
        for cluster, listed in made.items():
            self._apply(cluster, *_of(listed, "ServiceExport"))
        self._apply(ASKING, self._caller())
        for cluster in WITH_PODS:
            self.kubectl[cluster](*HERE, "rollout", "status", f"deployment/{SERVICE}", "--timeout=120s")
        self.kubectl[ASKING](*HERE, "wait", "pod/caller", "--for=condition=Ready", "--timeout=120s")

    def close(self) -> None:
        """Nothing is left."""
        self.kubectl[ASKING](*HERE, "delete", "globaltrafficpolicies.flomesh.io", "--all", "--timeout=60s")
        for cluster in WITH_PODS:
            self.kubectl[cluster]("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s")

    def reach(self, case: Case, wanted: Mapping[str, float]) -> None:
        """Bring the combination about, and wait until those serve who are foretold to."""
        replicas = f"--replicas={int(case.local)}"
        self.kubectl[ASKING](*HERE, "scale", f"deployment/{SERVICE}", replicas)
        self._apply(ASKING, self.policies[case.policy])
        deadline = time.monotonic() + SETTLED_SECONDS
        while not (self._followed(case.policy) and set(seen := self.calls(SETTLED_CALLS)) == set(wanted)):
            assert time.monotonic() < deadline, f"{case}: foretold {wanted}, and after a minute {seen} serve"

    def calls(self, number: int) -> Counter[str]:
        """Who answered so many calls; NOBODY for those that failed."""
        asked = (f"{SERVICE}.{NAMESPACE}", str(number), str(CALLERS), str(PAUSE))
        return Counter(
            json.loads(self.kubectl[ASKING](*HERE, "exec", "caller", "--", "python", "-c", CALLER, *asked))
        )

    def _followed(self, policy: str) -> bool:
        """Whether every gateway of the callers' cluster has the policy with these weights."""
        where = ("-n", "multicluster-system", "get", "pods", "-l", "app=gateway", "-o", "json")
        pods = json.loads(self.kubectl[ASKING](*where))["items"]
        targets = {
            one["clusterKey"]: one.get("weight", 100)
            for one in self.policies[policy]["spec"].get("targets", [])
        }
        return all(self._weights(pod, policy).items() >= targets.items() for pod in pods)

    def _weights(self, pod: Mapping[str, Any], policy: str) -> dict[str, int]:
        ports = [port for one in pod["spec"]["containers"] for port in one.get("ports", [])]
        admin = next(port["containerPort"] for port in ports if port["name"] == "admin")
        page = f"/api/v1/namespaces/multicluster-system/pods/{pod['metadata']['name']}:{admin}/proxy/config"
        routes = json.loads(self.kubectl[ASKING]("get", "--raw", page))["eastWest"]
        ours = [
            one for one in routes if (one["service"], one["policy"]) == (f"{NAMESPACE}/{SERVICE}", policy)
        ]
        listed = [one for route in ours for priority in route["priorities"] for one in priority]
        return {one["cluster"]: one["weight"] for one in listed}

    def _apply(self, cluster: str, *objects: Mapping[str, Any]) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self.kubectl[cluster]("apply", "-f", "-", stdin=text)

    def _pods(self, cluster: str) -> dict[str, Any]:
        labels = {"app": SERVICE}
        spec = {**self._python(cluster, SERVER), "env": [{"name": "CLUSTER", "value": cluster}]}
        template = {
            "metadata": {"labels": labels},
            "spec": {"containers": [spec], "terminationGracePeriodSeconds": 0},
        }
        return {
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": SERVICE, "namespace": NAMESPACE},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        }  # fmt: skip

    def _caller(self) -> dict[str, Any]:
        container = self._python(ASKING, "import signal; signal.pause()")
        return {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "caller", "namespace": NAMESPACE},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
        }  # fmt: skip

    def _python(self, cluster: str, script: str) -> dict[str, Any]:
        image = gateway_image(self.kubectl[cluster])
        return {"name": "python", "image": image, "command": ["python", "-c", script]}


def _of(listed: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [one for one in listed if one["kind"] in kinds]


@contextmanager
def bazaar_of(kubectl: Mapping[str, Kubectl], preview: Preview) -> Iterator[Bazaar]:
    """The service, and nothing of it afterwards."""
    found = Bazaar(kubectl, preview)
    try:
        found.open()
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def preview(tmp_path_factory: pytest.TempPathFactory) -> Preview:
    return Preview(tmp_path_factory.mktemp("preview"))


@pytest.fixture(scope="module")
def told(preview: Preview) -> dict[tuple[str, bool], dict[str, Any]]:
    """What the preview says, by policy and whether there are local pods."""
    return {
        (policy, local): preview.of(policy, local=local) for policy in POLICIES for local in (True, False)
    }


@pytest.fixture(scope="module")
def bazaar(clusters: Clusters, preview: Preview) -> Iterator[Bazaar]:
    kubectl = {LOST: clusters.hurt, ASKING: clusters.asking, "cluster-3": clusters.other}
    with bazaar_of(kubectl, preview) as found:
        yield found


@pytest.fixture(scope="module")
def one_lost(clusters: Clusters, bazaar: Bazaar) -> Iterator[None]:
    """The node of a cluster is paused: it swallows what is sent to it."""
    clusters.docker("pause", f"k3d-{LOST}-server-0")
    try:
        yield
    finally:
        clusters.docker("unpause", f"k3d-{LOST}-server-0")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_calls_are_served_as_the_preview_foretold(
    case: Case,
    bazaar: Bazaar,
    told: Mapping[tuple[str, bool], Mapping[str, Any]],
    request: pytest.FixtureRequest,
) -> None:
    if case.lost:
        request.getfixturevalue("one_lost")
    compare(case, bazaar, foretold(told[case.policy, case.local], lost=case.lost))


def compare(case: Case, bazaar: Bazaar, wanted: Mapping[str, float]) -> None:
    """Bring a combination about, call, and compare."""
    bazaar.reach(case, wanted)
    number = REFUSED_CALLS if set(wanted) == {NOBODY} else CALLS
    seen = bazaar.calls(number)
    print(f"{case}: foretold {wanted}, seen {dict(seen)}", flush=True)
    assert sum(seen.values()) == number
    assert set(seen) == set(wanted)
    for name, part in wanted.items():
        bound = 4 * math.sqrt(part * (1 - part) / number)
        assert abs(seen[name] / number - part) <= bound, (
            f"{name}: foretold {part:.3f} ± {bound:.3f}, seen {seen}"
        )
