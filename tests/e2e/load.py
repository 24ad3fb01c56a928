"""A bounded load of safe requests from inside one cluster, and what became of them."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from e2e.commands import ROOT

CALLERS = 4
"""40 requests a second in all."""
PAUSE = 0.1
"""Seconds between the requests of one caller."""
SLOW = 2.0
"""Seconds that no request takes when nothing is wrong, however busy the machine."""


class Kubectl:
    """kubectl on one cluster."""

    def __init__(self, env: dict[str, str], kubeconfig: Path) -> None:
        self.env, self.kubeconfig = env, kubeconfig

    def argv(self, *arguments: str) -> list[str]:
        return ["kubectl", "--kubeconfig", str(self.kubeconfig), *arguments]

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            self.argv(*arguments), env=self.env, input=stdin, capture_output=True, text=True, timeout=180,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def follow(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(self.argv(*arguments), env=self.env, stdout=subprocess.PIPE, text=True)


def gateway_image(kubectl: Kubectl) -> str:
    """The image of a cluster's gateway: it is on every node, and has Python in it."""
    where = ("-n", "multicluster-system", "get", "deployment", "gateway")
    return kubectl(*where, "-o", "jsonpath={.spec.template.spec.containers[0].image}")


def kubeconfigs(env: dict[str, str], folder: Path) -> dict[str, Kubectl]:
    """kubectl on every cluster of the environment that `env` is of; their kubeconfigs lie in the folder."""
    printed = subprocess.run(
        ["pulumi", "stack", "output", "kubeconfigs", "--show-secrets"],
        env=env, cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    found = {}
    for name, text in json.loads(printed).items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        found[name] = Kubectl(env, path)
    return found


@dataclass(frozen=True)
class Call:
    """One request."""

    began: float
    seconds: float
    status: int
    said: str

    @property
    def ok(self) -> bool:
        return self.status == 200

    @property
    def cluster(self) -> str:
        """The cluster that answered; empty when none did."""
        found = re.search(r"from cluster: (\S+)", self.said)
        return found[1] if found and self.ok else ""


class Load:
    """Calls from a pod of its own, which needs no image but the gateway's: that one has Python in it."""

    def __init__(
        self,
        kubectl: Kubectl,
        url: str,
        *,
        callers: int = CALLERS,
        fresh: bool = False,
        namespace: str = "default",
        app_id: str = "",
    ) -> None:
        """`fresh`: each request on a connection of its own. Without it a caller keeps its one.

        `app_id` gives it a Dapr sidecar.
        """
        self._kubectl = kubectl
        self._pod = ("-n", namespace, "pod", "caller")
        self._asks = [url, str(callers), str(PAUSE), "fresh" if fresh else "kept"]
        self._annotations = {"dapr.io/enabled": "true", "dapr.io/app-id": app_id} if app_id else {}
        self.calls: list[Call] = []
        self._awaited = 0.0

    def __enter__(self) -> Self:
        self._kubectl("delete", *self._pod, "--ignore-not-found", "--now")
        image = gateway_image(self._kubectl)
        script = Path(__file__).with_name("caller.py").read_text()
        command = ["python", "-c", script, *self._asks]
        container = {"name": "caller", "image": image, "imagePullPolicy": "IfNotPresent", "command": command}
        pod = {
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "caller", "namespace": self._pod[1], "annotations": self._annotations},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
        }  # fmt: skip
        self._kubectl("apply", "-f", "-", stdin=json.dumps(pod))
        self._kubectl("wait", *self._pod, "--for=condition=Ready", "--timeout=90s")
        self._process = self._kubectl.follow("logs", *self._pod[:2], "-f", "caller", "-c", "caller")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.calls.append(Call(*json.loads(line)))

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._reader.join(timeout=5)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._kubectl("delete", *self._pod, "--now")

    def until(self, check: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
        """Wait for what requests that begin from now on show."""
        self._awaited = time.time()
        deadline = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}; {self.report(0.0)}"
            time.sleep(0.2)

    def since(self, moment: float) -> list[Call]:
        return [call for call in self.calls if call.began >= moment]

    def served(self, *clusters: str, among: int = 40) -> bool:
        """Whether these clusters, and no other, answered the last so many requests, each in time."""
        last = self.calls[-among:]
        return (
            len(last) == among
            and last[0].began >= self._awaited
            and {call.cluster for call in last} == set(clusters)
            and all(call.seconds < SLOW for call in last)
        )

    def report(self, moment: float) -> dict[str, Any]:
        """Counts since `moment`, and how long after it the last request failed or was slow."""
        calls = self.since(moment)
        failed = [call for call in calls if not call.ok]
        slow = [call for call in calls if call.seconds >= SLOW]
        disturbed = [call.began + call.seconds for call in (*failed, *slow)]
        return {
            "requests": len(calls),
            "by": dict(Counter(call.cluster or f"{call.status} {call.said[:60]}" for call in calls)),
            "failed": len(failed),
            "slow": len(slow),
            "slowest": round(max((call.seconds for call in calls), default=0.0), 2),
            "settled_after": round(max(disturbed) - moment, 2) if disturbed else 0.0,
        }


class Clusters:
    """The members of the platform: two that export nodeapp, and one that only calls it."""

    def __init__(self, env: dict[str, str], folder: Path) -> None:
        self.env, self.folder = env, folder
        found = kubeconfigs(env, folder)
        self.asking, self.hurt, self.other = (found[f"cluster-{number}"] for number in (2, 1, 3))

    def docker(self, *arguments: str) -> None:
        subprocess.run(["docker", *arguments], env=self.env, check=True, capture_output=True, timeout=120)
