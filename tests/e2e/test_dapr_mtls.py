"""Dapr's mTLS is switched off and on while others call: none through gateways fails, all sidecars follow."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from e2e.commands import ROOT
from e2e.load import Clusters, Kubectl, Load
from e2e.steering import Steering
from e2e.tls_mesh import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.long]

BY_NAME = "http://nodeapp.dapr-test:3000/ports"
BY_APP_ID = "http://127.0.0.1:3500/v1.0/invoke/nodeapp/method/ports"
APPS = {"app=node": "dapr-test", "app=curl": "curl"}


@pytest.fixture(autouse=True)
def as_it_was(platform: dict[str, str], clusters: Clusters) -> Iterator[None]:
    yield
    Steering(clusters.asking).free()
    switch(platform, on=True)


def switch(env: dict[str, str], *, on: bool) -> None:
    """Say so in the environment's settings, and bring it up."""
    for command in (
        ["pulumi", "config", "set", "--path", "dapr.mtls", json.dumps(on)],
        ["pulumi", "up", "--yes", "--skip-preview", "--parallel", "32"],
    ):
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"


def sidecars(kubectl: Kubectl) -> list[bool]:
    """Of each pod of the program's apps whether its sidecar has mTLS. KeyError for one without a sidecar."""
    found = []
    for label, namespace in APPS.items():
        listed = json.loads(kubectl("-n", namespace, "get", "pods", "-l", label, "-o", "json"))["items"]
        for pod in listed:
            if "deletionTimestamp" not in pod["metadata"]:
                spec = pod["spec"]
                containers = {
                    one["name"]: one for one in (*spec["containers"], *spec.get("initContainers", []))
                }
                found.append("--enable-mtls" in containers["daprd"]["args"])
    return found


def mtls_of(members: Iterable[Kubectl]) -> set[bool]:
    return {one for member in members for one in sidecars(member)}


def control_plane(kubectl: Kubectl) -> dict[str, str]:
    """Uid of every pod of Dapr's own."""
    listed = json.loads(kubectl("-n", "dapr-system", "get", "pods", "-o", "json"))["items"]
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in listed}


def test_switching_mtls_restarts_sidecars_without_a_failed_call(
    platform: dict[str, str], clusters: Clusters, tell: Any
) -> None:
    members = (clusters.hurt, clusters.asking, clusters.other)
    Steering(clusters.asking).steer("ActiveActive", cluster_1=100, cluster_3=100)
    with (
        Load(clusters.asking, BY_NAME) as by_name,
        Load(clusters.asking, BY_APP_ID, namespace="curl", app_id="caller") as by_app_id,
    ):
        for load in (by_name, by_app_id):
            load.until(lambda load=load: load.served("cluster-1", "cluster-3"), "both clusters answer")  # type: ignore[misc]
        for on in (False, True):
            before, began = [control_plane(member) for member in members], time.time()
            switch(platform, on=on)
            took = round(time.time() - began, 1)
            assert all(sidecars(member) for member in members), "every member runs one of the apps"
            # A rollout is over when the new pods are ready; the old ones are deleted a little later.
            eventually(lambda on=on: mtls_of(members) == {on}, "all sidecars follow")  # type: ignore[misc]
            assert [control_plane(member) for member in members] == before, "Dapr's own parts stay up"
            for load in (by_name, by_app_id):
                load.until(lambda load=load: load.served("cluster-1", "cluster-3"), "both go on")  # type: ignore[misc]
            reports = {"by name": by_name.report(began), "by app-id": by_app_id.report(began)}
            tell({"mtls": on, "up": took, **reports})
            assert [report["failed"] for report in reports.values()] == [0, 0]
