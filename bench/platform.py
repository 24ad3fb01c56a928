"""Whole environments, timed: `up` against the article's way of doing it, a second `up`, `destroy`, previews,
and what is done with many services.

Both ways begin with tools and images in the cache and end when the platform's Deployments are available. They
take turns, so that a machine that becomes slower does so for both.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from airgap import daemon
from airgap.report import Report
from bench import members, sequence, services
from bench.commands import held_back
from bench.environments import ROOT, run, stack_environment, stack_file, take_down, timed
from bench.figures import OURS, Result, Row
from bench.programs import BenchError
from bench.sequence import Made, Step
from bench.setting import Bench

ENVIRONMENT = "bench"
PREFIX = "multicluster-dapr:"
FIRST_API_PORT, FIRST_HTTP_PORT, REDIS_PORT = 17444, 18080, 16379
ROUNDS = 3
SIZES = (4, 16, 64)
"""Members of the environments that are previewed."""
NOTE = (
    "The article's steps: network, each cluster, images into it, mesh, joining, Dapr with --wait, Redis, "
    "namespaces, state stores, apps and exports, one after another, of the same objects that up made."
)


def environment_file(article: Mapping[str, Any]) -> dict[str, Any]:
    """Pulumi.dev.yaml's topology under other names, ports and addresses, so that both can run at once."""
    document = copy.deepcopy(dict(article))
    config = document["config"]
    clusters = config[f"{PREFIX}clusters"]
    renamed = {cluster["name"]: f"bench-{cluster['name']}" for cluster in clusters}
    for number, cluster in enumerate(clusters):
        cluster |= {
            "name": renamed[cluster["name"]],
            "apiPort": FIRST_API_PORT + number,
            "httpPort": FIRST_HTTP_PORT + number,
        }
    for key in ("apps", "exports"):
        for entry in config[f"{PREFIX}{key}"]:
            entry["clusters"] = [renamed[name] for name in entry["clusters"]]
    config[f"{PREFIX}policies"] = []
    config[f"{PREFIX}network"] = {"name": "bench-clusters", "subnet": "172.31.0.0/16"}
    config[f"{PREFIX}redis"] = {"port": REDIS_PORT}
    return document


class Script:
    """The article's way: runs steps one after another, each with its cluster's kubeconfig."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self._env, self._folder = env, folder

    def __call__(self, steps: Sequence[Step]) -> str:
        said = ""
        for step in steps:
            env = {**self._env}
            if step.cluster:
                env["KUBECONFIG"] = str(self._folder / step.cluster)
            said = run(step.argv, env, step.stdin)
            if step.gives:
                path = self._folder / step.gives
                path.touch(mode=0o600)
                path.write_text(said)
        return said


def one_after_another(made: Sequence[Made], env: Mapping[str, str], folder: Path) -> float:
    """Seconds of making everything that `made` names, the article's way."""
    clusters = [
        one.name.removesuffix("-kubernetes") for one in made if one.type == "pulumi:providers:kubernetes"
    ]
    plane, *joining = sorted(clusters, key=lambda name: "control-plane" not in name)
    redis_conf = folder / "redis.conf"
    redis_conf.write_text(
        next(one for one in made if one.type.endswith("container:Container")).inputs["uploads"][0]["content"]
    )
    redis_conf.chmod(0o644)  # read by the container's own user
    script = Script(env, folder)
    before = sequence.before_joining(made, [plane, *joining])
    after = sequence.after_joining(made, plane, joining, str(redis_conf))
    entries = {member: sequence.joining(made, member) for member in joining}
    later = [sequence.joined(made, plane, member, {"ca.crt": "", "token": ""}) for member in joining]
    if left := sequence.left_out(made, [*before, *chain(*entries.values()), *later, *after]):
        raise BenchError(f"the article's steps lack {len(left)} objects that up has made: {', '.join(left)}")
    started = time.monotonic()
    script(before)
    for member, entry in entries.items():
        script(entry)
        get = ("kubectl", "get", "secret", "multicluster-hub-bootstrap", "-n", sequence.SYSTEM, "-o", "json")
        token = json.loads(script([Step(title=f"token of {member}", argv=get, cluster=member)]))["data"]
        script([sequence.joined(made, plane, member, token)])
    script(after)
    return time.monotonic() - started


def clear(made: Sequence[Made], env: Mapping[str, str]) -> None:
    """Remove what the script made; what is not there is no error."""
    for one in made:
        if one.type == "command:local:Command" and "delete" in one.inputs:
            run(one.inputs["delete"].split(), env)
    for kind in ("container", "network", "volume"):
        names = [
            one.inputs["name"]
            for one in made
            if one.type.lower().endswith(f":{kind}") and "docker" in one.type
        ]
        for name in names:
            force = [] if kind == "network" else ["--force"]
            subprocess.run(
                ["docker", kind, "rm", *force, name], env=dict(env), check=False, capture_output=True,
                start_new_session=True,
            )  # fmt: skip


def measure(bench: Bench) -> Result:
    """Both ways in turns, and previews of environments that are not there, several times over."""
    found: dict[str, list[float]] = {name: [] for name in ("up", "unchanged", "destroy", "article")}
    sizes = SIZES[:1] if bench.quick else SIZES
    previews: dict[int, list[float]] = {count: [] for count in sizes}
    changes: dict[str, list[float]] = {}
    article = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())
    rounds = 1 if bench.quick else ROUNDS
    for turn in range(1, rounds + 1):
        with stack_file(ENVIRONMENT, environment_file(article)):
            _round(bench, found, f"{turn} of {rounds}")
        for count in sizes:
            bench.step.update(f"{turn} of {rounds}: preview of {count} members")
            previews[count].append(_preview(count))
        services.round_of(bench, f"{turn} of {rounds}", changes)
    return Result([*rows(found, previews), *services.rows(changes)], [NOTE])


def rows(found: Mapping[str, Sequence[float]], previews: Mapping[int, Sequence[float]]) -> list[Row]:
    """What was seen, as rows; `up` is compared with the article's way, the others have no peer."""
    four = "four clusters, tools and images in the cache"
    both = {OURS: found["up"], "the article's steps": found["article"]}
    alone = [
        ("up", four, found["up"]),
        ("the article's steps", four, found["article"]),
        ("a second up", four, found["unchanged"]),
        ("destroy", four, found["destroy"]),
        *(("preview", f"{count} members, nothing there yet", taken) for count, taken in previews.items()),
    ]
    return [
        Row(what=four, figure="time of up", more_is_better=False, samples=both, unit="s"),
        *(
            Row(what=what, figure=figure, more_is_better=False, samples={OURS: taken}, unit="s")
            for figure, what, taken in alone
        ),
    ]


def _round(bench: Bench, found: Mapping[str, list[float]], turn: str) -> None:
    bench.step.update(f"{turn}: up")
    try:
        found["up"].append(timed(["./stack", "up", ENVIRONMENT], os.environ))
        bench.step.update(f"{turn}: a second up")
        found["unchanged"].append(timed(["./stack", "up", ENVIRONMENT], os.environ))
        env = stack_environment(run(["./stack", "env", ENVIRONMENT], os.environ))
        state = json.loads(run(["pulumi", "stack", "export", "--show-secrets"], env))
    finally:
        bench.step.update(f"{turn}: destroy")
        found["destroy"].append(take_down(ENVIRONMENT))
    bench.step.update(f"{turn}: the article's steps")
    made = sequence.read_state(state)
    daemon.ensure_daemon(bench.cache, Report())  # the last environment's destroy ends a daemon of ours
    with tempfile.TemporaryDirectory() as folder:  # Redis' own user reads a file in it: not the bench's own
        try:
            found["article"].append(one_after_another(made, env, Path(folder)))
        finally:
            with held_back():
                clear(made, env)
                daemon.stop_daemon(Report())  # unless others use it


def _preview(count: int) -> float:
    environment = f"members-{count}"
    with stack_file(environment, members.stack_file(count)):
        try:
            return timed(["./stack", "preview", environment], os.environ)
        finally:
            take_down(environment)
