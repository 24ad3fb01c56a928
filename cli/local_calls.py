"""Calls from pods of a cluster that runs the service itself.

There is no curl in them, but Python: calls by name come from the gateway's pod, which outlives the app's, and
calls by app-id from the app's own pod, over its sidecar.
"""

from __future__ import annotations

import json
import subprocess
from typing import Self

from cli.calls import SIDECAR, Answer, ClientPod

GATEWAY_POD = ("-n", "multicluster-system", "deploy/gateway")
APP_POD = ("-n", "dapr-test", "deploy/nodeapp", "-c", "node")
APP_PODS = ("-n", "dapr-test", "pods", "-l", "app=node")

SCRIPT = """
import json, sys, time, urllib.error, urllib.request
url, count, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
for _ in range(count):
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            found = [0, answer.read().decode()]
    except urllib.error.HTTPError as error:
        found = [0, f"{error.code} {error.read().decode(errors='replace')}"]
    except OSError as error:
        found = [7, str(error)]
    print(json.dumps(found), flush=True)
    time.sleep(pause)
"""


class ExporterPods(ClientPod):
    """The pods of one exporting cluster."""

    def by_name(self, url: str, count: int) -> list[Answer]:
        """So many calls of the Service's own name, each on a connection of its own."""
        return _answers(self.run("python", "-c", SCRIPT, url, str(count), "0", pod=GATEWAY_POD).body)

    def by_app_id(self, app_id: str, path: str, count: int) -> list[Answer]:
        """So many calls by app-id."""
        url = f"{SIDECAR}/v1.0/invoke/{app_id}/method{path}"
        return _answers(self.run("python", "-c", SCRIPT, url, str(count), "0", pod=APP_POD).body)

    def while_the_app_is_killed(self, url: str, count: int, pause: float) -> list[Answer]:
        """Calls of the Service's own name, `pause` seconds apart; the app's pod is killed among them."""
        with _Calls(self, url, count, pause) as calls:
            kill = self.kubectl("delete", *APP_PODS, "--force", "--grace-period=0", "--wait=false")
            subprocess.run(kill, env=self.env, check=True, capture_output=True, timeout=30)
        return calls.answers


class _Calls:
    """Calls in the gateway's pod, under way while the block runs; `answers` has them all afterwards."""

    def __init__(self, pods: ExporterPods, url: str, count: int, pause: float) -> None:
        asks = ("python", "-c", SCRIPT, url, str(count), str(pause))
        self._argv, self._env = pods.kubectl("exec", *GATEWAY_POD, "--", *asks), pods.env
        self.answers: list[Answer] = []

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(
            self._argv, env=self._env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._child.stdout is not None  # noqa: S101 - PIPE was asked for
        self._first = self._child.stdout.readline()
        return self

    def __exit__(self, *_: object) -> None:
        rest = self._child.communicate(timeout=60)[0]
        self.answers = _answers(self._first + rest)


def _answers(printed: str) -> list[Answer]:
    return [Answer(int(code), str(body)) for code, body in map(json.loads, printed.splitlines())]
