"""What the platform's own processes hold, read from its nodes and API servers again and again."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from e2e.load import Kubectl

PERIOD = 10.0
PODS_EVERY = 3
"""Samples: pods and pages are asked for less often than memory is read, they cost more."""
SYSTEM = "multicluster-system"
NODE = "k3d-{}-server-0"
READ = r"""
for p in /proc/[0-9]*; do
  read -r c 2>/dev/null < $p/comm || continue
  case "$c" in python*) ;; *) continue;; esac
  c=$(tr '\000' ' ' < $p/cmdline 2>/dev/null) || continue
  case "$c" in
    *"gateway run "*) n=gateway;;
    *"gateway control "*) n=controller;;
    *"gateway hub "*) n=hub;;
    *) continue;;
  esac
  echo "$n ${p#/proc/} $(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' $p/status) $(ls $p/fd | wc -l)"
done
"""
"""Runs on a node: name, process, KiB of memory and open files of each of ours."""


@dataclass
class Series:
    """One process over time."""

    at: list[float] = field(default_factory=list)
    """Unix time."""
    mebibytes: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)


class Sampler:
    """Samples in a thread until told to stop."""

    def __init__(self, clusters: Mapping[str, Kubectl]) -> None:
        self._clusters = clusters
        self._stop = threading.Event()
        self.processes: dict[str, Series] = {}
        """By cluster, name and process id: one that restarts is another one."""
        self.restarts: dict[str, int] = {}
        """By pod, as the API server counts them."""
        self.gauges: dict[str, dict[str, float]] = {}
        """The largest values of a gateway's page, by cluster."""
        self.faults: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)

    def _run(self) -> None:
        number = 0
        while True:
            started = time.monotonic()
            for cluster, kubectl in self._clusters.items():
                try:
                    self._memory(cluster, kubectl)
                    if number % PODS_EVERY == 0:
                        self._pods(cluster, kubectl)
                except (AssertionError, subprocess.SubprocessError, ValueError) as error:
                    self.faults.append(f"{time.strftime('%H:%M:%S')} {cluster}: {str(error)[:300]}")
            number += 1
            if self._stop.wait(max(0.0, PERIOD - (time.monotonic() - started))):
                return

    def _memory(self, cluster: str, kubectl: Kubectl) -> None:
        printed = subprocess.run(
            ["docker", "exec", NODE.format(cluster), "sh", "-c", READ],
            env=kubectl.env, capture_output=True, text=True, check=True, timeout=30,
        ).stdout  # fmt: skip
        for line in printed.splitlines():
            name, process, kibibytes, files = line.split()
            series = self.processes.setdefault(f"{cluster} {name} {process}", Series())
            series.at.append(time.time())
            series.mebibytes.append(int(kibibytes) / 1024)
            series.files.append(int(files))

    def _pods(self, cluster: str, kubectl: Kubectl) -> None:
        pods = json.loads(kubectl("-n", SYSTEM, "get", "pods", "-o", "json"))["items"]
        for pod in pods:
            name = pod["metadata"]["name"]
            statuses = pod["status"].get("containerStatuses", [])
            self.restarts[f"{cluster} {name}"] = sum(one["restartCount"] for one in statuses)
            if pod["metadata"]["labels"].get("app") == "gateway":
                self._page(cluster, kubectl, name)

    def _page(self, cluster: str, kubectl: Kubectl, pod: str) -> None:
        text = kubectl("get", "--raw", f"/api/v1/namespaces/{SYSTEM}/pods/{pod}:9090/proxy/metrics")
        sums: dict[str, float] = {}
        for line in text.splitlines():
            series, _, value = line.rpartition(" ")
            name = series.partition("{")[0]
            if not name.startswith("#") and not name.endswith("_bucket"):
                sums[name] = sums.get(name, 0.0) + float(value)
        most = self.gauges.setdefault(cluster, {})
        for name, value in sums.items():
            most[name] = max(most.get(name, 0.0), value)


def started_again(before: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
    """Pods that restarted, came or went meanwhile."""
    names = sorted(before.keys() | after.keys())
    return [
        f"{name}: {before.get(name)} to {after.get(name)}"
        for name in names
        if before.get(name) != after.get(name)
    ]


def as_json(processes: Mapping[str, Series]) -> dict[str, Any]:
    return {
        name: {"at": [round(one, 1) for one in series.at], "MiB": [round(one, 2) for one in series.mebibytes],
               "files": series.files}
        for name, series in processes.items()
    }  # fmt: skip
