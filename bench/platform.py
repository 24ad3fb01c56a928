"""Whole environments, timed: `up` against the article's way of doing it, a second `up`, `destroy`, previews.

python -m bench.platform [--rounds N] [--members 4 16 64] > FILE

Both ways begin with tools and images in the cache and end when the platform's Deployments are available. They
take turns, so that a machine that becomes slower does so for both.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bench import members, sequence
from bench.sequence import Made, Step

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = "bench"
PREFIX = "multicluster-dapr:"
FIRST_API_PORT, FIRST_HTTP_PORT, REDIS_PORT = 17444, 18080, 16379
STEP_SECONDS = 900


class FailedError(Exception):
    """A command of the measurement failed; the message carries its output."""


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


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(argv: Sequence[str], env: Mapping[str, str], stdin: str = "") -> str:
    """Standard output of a command. FailedError with everything it said otherwise."""
    done = subprocess.run(
        list(argv), cwd=ROOT, env=dict(env), input=stdin, capture_output=True, text=True, check=False,
        timeout=STEP_SECONDS,
    )  # fmt: skip
    if done.returncode:
        raise FailedError(
            f"{' '.join(argv)} failed ({done.returncode}): {done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return done.stdout


def timed(argv: Sequence[str], env: Mapping[str, str]) -> float:
    """Seconds of wall time of a command."""
    started = time.monotonic()
    run(argv, env)
    seconds = time.monotonic() - started
    say(f"{' '.join(argv)}: {seconds:.1f} s")
    return seconds


@contextlib.contextmanager
def stack_file(environment: str, document: Mapping[str, Any]) -> Iterator[None]:
    """A Pulumi.<env>.yaml that is there for as long as the block runs."""
    path = ROOT / f"Pulumi.{environment}.yaml"
    path.write_text(yaml.safe_dump(dict(document), sort_keys=False))
    try:
        yield
    finally:
        path.unlink()


def stack_environment(environment: str) -> dict[str, str]:
    """What `eval "$(./stack env)"` makes of this process's environment."""
    printed = run(["./stack", "env", environment], os.environ)
    exports = dict(word.split("=", 1) for word in shlex.split(printed) if word != "export")
    return {**os.environ, **exports}


class Script:
    """The article's way: runs steps one after another, each with its cluster's kubeconfig."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self._env, self._folder = env, folder
        self.seconds: dict[str, float] = {}

    def __call__(self, steps: Sequence[Step]) -> str:
        said = ""
        for step in steps:
            env = {**self._env}
            if step.cluster:
                env["KUBECONFIG"] = str(self._folder / step.cluster)
            started = time.monotonic()
            said = run(step.argv, env, step.stdin)
            self.seconds[step.title] = round(time.monotonic() - started, 2)
            if step.gives:
                path = self._folder / step.gives
                path.touch(mode=0o600)
                path.write_text(said)
        return said


def one_after_another(
    made: Sequence[Made], env: Mapping[str, str], folder: Path
) -> tuple[float, dict[str, float]]:
    """Everything `made` names, the article's way; seconds in all and by step."""
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
    started = time.monotonic()
    script(sequence.before_joining(made, [plane, *joining]))
    for member in joining:
        script(sequence.joining(made, member))
        get = ("kubectl", "get", "secret", "multicluster-hub-token", "-n", sequence.SYSTEM, "-o", "json")
        token = json.loads(script([Step(title=f"token of {member}", argv=get, cluster=member)]))["data"]
        script([sequence.joined(made, plane, member, token)])
    script(sequence.after_joining(made, joining, str(redis_conf)))
    seconds = time.monotonic() - started
    say(f"the article's way: {seconds:.1f} s")
    return seconds, script.seconds


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
                ["docker", kind, "rm", *force, name], env=dict(env), check=False, capture_output=True
            )


def rounds(count: int) -> dict[str, list[float] | dict[str, float]]:
    """`up`, second `up`, `destroy` and the article's way, in turns."""
    found: dict[str, list[float]] = {name: [] for name in ("up", "unchanged", "destroy", "article")}
    steps: dict[str, float] = {}
    article = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())
    with stack_file(ENVIRONMENT, environment_file(article)), tempfile.TemporaryDirectory() as folder:
        for _ in range(count):
            try:
                found["up"].append(timed(["./stack", "up", ENVIRONMENT], os.environ))
                found["unchanged"].append(timed(["./stack", "up", ENVIRONMENT], os.environ))
                env = stack_environment(ENVIRONMENT)
                exported = run(["pulumi", "stack", "export", "--show-secrets"], env)
            finally:
                found["destroy"].append(timed(["./stack", "destroy", ENVIRONMENT], os.environ))
            made = sequence.read_state(json.loads(exported))
            try:
                seconds, steps = one_after_another(made, env, Path(folder))
                found["article"].append(seconds)
            finally:
                clear(made, env)
    return {**found, "article_steps": steps}


def previews(counts: Sequence[int]) -> dict[str, float]:
    """Seconds of `./stack preview` of a new environment, by its number of members."""
    found = {}
    for count in counts:
        environment = f"members-{count}"
        with stack_file(environment, members.stack_file(count)):
            found[str(count)] = timed(["./stack", "preview", environment], os.environ)
            run(["./stack", "destroy", environment], os.environ)
    return found


def report(found: Mapping[str, Any], previewed: Mapping[str, float]) -> dict[str, Any]:
    """Medians, and the article's way as a multiple of `up`, round by round."""
    ratios = [article / up for up, article in zip(found["up"], found["article"], strict=True)]
    names = ("up", "unchanged", "destroy", "article")
    return {
        "rounds": found,
        "median_seconds": {name: round(statistics.median(found[name]), 1) for name in names if found[name]},
        "article_over_up": [round(ratio, 2) for ratio in ratios],
        "preview_seconds_by_members": {count: round(seconds, 1) for count, seconds in previewed.items()},
    }


def main() -> int:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds", type=int, default=2, help="of up, destroy and the article's way; default 2"
    )
    parser.add_argument("--members", type=int, nargs="*", default=[4, 16, 64], help="sizes to preview")
    arguments = parser.parse_args()
    try:
        found = rounds(arguments.rounds)
        result = report(found, previews(arguments.members))
    except FailedError as error:
        say(str(error))
        return 1
    json.dump(result, sys.stdout, indent=2)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
