"""Settings of an environment with many services on four clusters, to measure what a change of one costs.

python -m bench.services 20 > Pulumi.services-20.yaml
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from bench.environments import run, stack_environment, stack_file, take_down, timed
from bench.figures import OURS, Row
from bench.setting import Bench

ENVIRONMENT = "bench-services"
COUNT = 20
PROJECT = "multicluster-dapr"
NAMESPACE = "shop"
# Clear of those of dev, of tests and of the other measurements.
FIRST_API_PORT, FIRST_HTTP_PORT, REDIS_PORT = 17544, 18180, 16479
SUBNET = "172.30.0.0/16"
APP = {
    "namespace": NAMESPACE,
    "build": "apps/nodeapp",
    "env": {"CLUSTER_NAME": {"cluster": "name"}},
    "ports": [{"port": 3000}],
    "probes": {"readiness": {"path": "/readyz"}},
}
MEMBERS = ("services-1", "services-2", "services-3")


def settings(services: int, *, weight: int = 50) -> dict[str, Any]:
    """Pulumi.<env>.yaml as a mapping: each service runs on two members, and the third one calls it.

    `weight` is that of the first target of the first policy: the one thing that a change changes.
    """
    if services < 1:
        raise ValueError(f"{services} services: choose one at least")
    apps, exports, policies = [], [], []
    for number in range(services):
        name = f"service-{number + 1:02}"
        *runs, calls = (MEMBERS[(number + turn) % len(MEMBERS)] for turn in range(len(MEMBERS)))
        apps.append({**APP, "name": name, "clusters": runs})
        exports.append(
            {"service": name, "namespace": NAMESPACE, "clusters": runs, "rules": [{"portNumber": 3000}]}
        )
        weights = (weight if number == 0 else 50, 50)
        targets = [
            {"clusterKey": f"default/default/default/{cluster}", "weight": share}
            for cluster, share in zip(runs, weights, strict=True)
        ]
        policies.append(
            {
                "cluster": calls,
                "namespace": NAMESPACE,
                "name": name,
                "lbType": "ActiveActive",
                "targets": targets,
            }
        )
    clusters = [
        {"name": "services-plane", "role": "control-plane", **_ports(0)},
        *({"name": name, **_ports(number)} for number, name in enumerate(MEMBERS, 1)),
    ]
    chosen = {
        "network": {"name": "bench-services", "subnet": SUBNET},
        "redis": {"port": REDIS_PORT},
        "clusters": clusters,
        "apps": apps,
        "exports": exports,
        "policies": policies,
    }
    config = {f"{PROJECT}:{key}": value for key, value in chosen.items()}
    return {"config": {"pulumi:disable-default-providers": ["*"], **config}}


def round_of(bench: Bench, turn: str, found: dict[str, list[float]]) -> None:
    """Bring it up, then run each command once on what is there; their seconds are added to `found`."""

    def take(what: str, argv: Sequence[str], env: Mapping[str, str] = os.environ) -> None:
        bench.step.update(f"{turn}: {COUNT} services, {what}")
        found.setdefault(what, []).append(timed(argv, env))

    try:
        with stack_file(ENVIRONMENT, settings(COUNT)):
            bench.step.update(f"{turn}: {COUNT} services, up")
            run(["./stack", "up", ENVIRONMENT], os.environ)
            take("a second up", ["./stack", "up", ENVIRONMENT])
            take("preview", ["./stack", "preview", ENVIRONMENT])
            env = stack_environment(run(["./stack", "env", ENVIRONMENT], os.environ))
            take("preview by plain pulumi", ["pulumi", "preview"], env)
        with stack_file(ENVIRONMENT, settings(COUNT, weight=60)):
            take("a changed policy by plain pulumi", ["pulumi", "up", "--yes", "--skip-preview"], env)
    finally:
        with stack_file(ENVIRONMENT, settings(COUNT)):
            bench.step.update(f"{turn}: {COUNT} services, destroy")
            take_down(ENVIRONMENT)


def rows(found: Mapping[str, Sequence[float]]) -> list[Row]:
    """What was seen, as rows; nothing is compared."""
    what = f"{COUNT} services on four clusters, which are up"
    return [
        Row(what=what, figure=figure, more_is_better=False, samples={OURS: taken}, unit="s")
        for figure, taken in found.items()
    ]


def _ports(number: int) -> dict[str, int]:
    return {"apiPort": FIRST_API_PORT + number, "httpPort": FIRST_HTTP_PORT + number}


if __name__ == "__main__":
    yaml.safe_dump(settings(int(sys.argv[1])), sys.stdout, sort_keys=False)
