"""What is said of the program without an engine is what it registers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from config.environments import read_environment

ROOT = Path(__file__).resolve().parents[2]
KINDS = {"Namespace", "Service", "ServiceExport", "GlobalTrafficPolicy"}
MATCH = {"headers": [{"name": "x-canary", "value": "true"}]}


def with_traffic(config: dict[str, Any]) -> None:
    """A canary in the cluster and one across clusters, hosts, paths, timeouts."""
    export = config["exports"][0]
    export["backendRefs"] = [{"name": "nodeapp", "weight": 9}, {"name": "canary", "match": MATCH}]
    export["timeouts"] = {"request": "30s"}
    export["host"] = "shop.example.com"
    targets = [{"cluster": "cluster-1", "weight": 0, "match": MATCH}, {"cluster": "cluster-3"}]
    policy = {"cluster": "cluster-2", "namespace": "dapr-test", "name": "nodeapp", "lbType": "ActiveActive"}
    config["paths"] = [{"prefix": "/nodeapp", "namespaces": ["dapr-test"], "clusters": ["cluster-1"]}]
    config["policies"] = [{**policy, "targets": targets, "everyCaller": False}]


def with_sidecars(config: dict[str, Any]) -> None:
    config["dapr"] = {"invoke": "sidecar"}


def whole(value: Any) -> Any:
    """The engine hands over every number as a float."""
    if isinstance(value, dict):
        return {key: whole(one) for key, one in value.items()}
    if isinstance(value, list):
        return [whole(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def known(made: dict[str, Any]) -> dict[str, Any]:
    """Without what says nothing of traffic."""
    metadata = {key: made["metadata"][key] for key in ("name", "namespace") if key in made["metadata"]}
    annotations = made["metadata"].get("annotations") or {}
    said = {key: value for key, value in annotations.items() if not key.startswith("pulumi.com/")}
    found = {"kind": made["kind"], "metadata": {**metadata, **({"annotations": said} if said else {})}}
    return found if made["kind"] == "Namespace" else {**found, "spec": whole(made["spec"])}


def planned(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """What a process says of a stack's file: the SDK takes over the event loop of this one."""
    file = folder / "stack.yaml"
    file.write_text(
        yaml.safe_dump({"config": {f"multicluster-dapr:{key}": one for key, one in config.items()}})
    )
    argv = [sys.executable, "-m", "stacks.program.planned", str(file)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.parametrize(
    ("change", "told"),
    [(with_traffic, (["shop.example.com"], ["/nodeapp"])), (with_sidecars, ([], []))],
)
def test_it_is_what_the_program_registers(
    run: Callable[..., Any],
    change: Callable[[dict[str, Any]], None],
    told: tuple[list[str], list[str]],
    tmp_path: Path,
) -> None:
    recorder = run("dev", change)
    config = read_environment("dev")
    change(config)
    registered: dict[str, list[str]] = {}
    for resource in recorder.registered:
        inputs = resource.inputs
        ours = inputs.get("metadata", {}).get("namespace") != "multicluster-system" or "dapr-sidecars" in str(
            inputs["metadata"]["name"]
        )
        if inputs.get("kind") in KINDS and ours:
            cluster = resource.provider.removesuffix("-kubernetes")
            registered.setdefault(cluster, []).append(json.dumps(known(inputs), sort_keys=True))
    said = planned(tmp_path, config)
    assert list(said["objects"]) == ["control-plane", "cluster-1", "cluster-2", "cluster-3"]
    found = {
        cluster: {json.dumps(known(one), sort_keys=True) for one in listed}
        for cluster, listed in said["objects"].items()
    }
    assert not set().union(*(listed - set(registered[cluster]) for cluster, listed in found.items()))
    of_the_mesh = {"multicluster-system", "dapr-system"}
    for cluster, listed in registered.items():
        for one in set(listed) - found[cluster]:
            metadata = json.loads(one)["metadata"]
            assert {metadata["name"], metadata.get("namespace")} & of_the_mesh, one
    assert ([one["host"] for one in said["hosts"]], [one["prefix"] for one in said["paths"]]) == told
