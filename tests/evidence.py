"""What is kept of a failed test on real parts, for CI to print at its end: pods, containers, plugins, tools.

Nothing but docker and pulumi is called, and kubectl inside the nodes: what failed may be ./stack itself.
Its own archive (`gather`) is kept beside them for who needs all of it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from airgap import daemon
from cli.paths import Paths

ROOT = Path(__file__).resolve().parents[1]
TAIL = "60"  # lines of each log
LATEST = 3  # of the logs ./stack keeps: older ones are of other runs
FAILED = "failed"  # a file without the ending that subjects have: CI prints it after them
SECONDS = 180  # of one command


def note(file: Path, test: str, said: str) -> None:
    """Add what a failed test said to a file, its end alone when it is long."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as out:
        print(f"---- {test}", *said.splitlines()[-int(TAIL) :], sep="\n", file=out)


def keep(folder: Path) -> None:
    """Write a file per subject into the folder. A subject that cannot be had says why in its file."""
    folder.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "DOCKER_HOST": daemon.running_daemon() or ""}
    subjects: Mapping[str, Callable[[Mapping[str, str]], Iterator[str]]] = {
        "containers": containers, "pods": pods, "plugins": plugins, "tools": tools,
    }  # fmt: skip
    for name, subject in subjects.items():
        with (folder / f"{name}.txt").open("w") as file:
            try:
                for text in subject(env):
                    print(text, file=file)
            except (OSError, subprocess.SubprocessError, ValueError) as error:
                print(f"{name} cannot be had: {error}", file=file)


def gather(folder: Path) -> None:
    """Have ./stack pack each environment that is up; what it says is kept, whether it succeeds or not."""
    for environment in sorted((Paths.here().state / "environments").glob("*")):
        name = environment.name
        said = run(
            str(ROOT / "stack"), "gather", name, "--output", str(folder / f"{name}.tar.gz"), env=os.environ
        )
        (folder / f"gather-{name}.txt").write_text(said)


def containers(env: Mapping[str, str]) -> Iterator[str]:
    """Every container of ours, and the log of those that do not run."""
    yield run("docker", "ps", "--all", "--format", "table {{.Names}}\t{{.Status}}\t{{.Ports}}", env=env)
    ended = run("docker", "ps", "--all", "--filter", "status=exited", "--format", "{{.Names}}", env=env)
    for name in ended.split():
        yield f"--- {name}\n{run('docker', 'logs', '--tail', TAIL, name, env=env)}"


def pods(env: Mapping[str, str]) -> Iterator[str]:
    """Of every cluster: its pods, warnings, and description and log of each pod that is not ready."""
    filters = ["--filter", "label=app=k3d", "--filter", "label=k3d.role=server"]
    for node in run("docker", "ps", *filters, "--format", "{{.Names}}", env=env).split():
        kubectl = ["docker", "exec", node, "kubectl", "--request-timeout=20s"]
        yield f"=== {node}\n{run(*kubectl, 'get', 'pods', '-A', '-o', 'wide', env=env)}"
        yield run(*kubectl, "get", "events", "-A", "--field-selector", "type=Warning", env=env)
        listed = run(*kubectl, "get", "pods", "-A", "-o", "json", env=env)
        if not listed.startswith("{"):
            yield run("docker", "exec", node, "sh", "-c", f"tail -n {TAIL} /var/log/k3s-node/*", env=env)
            continue
        for pod in json.loads(listed)["items"]:
            if not ready(pod):
                at = ["-n", pod["metadata"]["namespace"], pod["metadata"]["name"]]
                yield f"--- {at[1]}/{at[2]}\n{run(*kubectl, 'describe', 'pod', *at, env=env)}"
                yield run(*kubectl, "logs", "--all-containers", "--prefix", "--tail", TAIL, *at, env=env)


def ready(pod: Mapping[str, Any]) -> bool:
    """Whether a pod does what it is there for."""
    status = pod["status"]
    states = status.get("containerStatuses", [])
    return status.get("phase") == "Succeeded" or (bool(states) and all(state["ready"] for state in states))


def plugins(env: Mapping[str, str]) -> Iterator[str]:
    """Warnings, errors and tracebacks, plugins' among them, from the engine's newest logs."""
    homes = {Paths.here().pulumi_home, Path(env.get("PULUMI_HOME") or Path.home() / ".pulumi")}
    logs = [log for home in homes for log in (home / "logs").glob("organization*")]
    for log in sorted(logs, key=lambda path: path.stat().st_mtime)[-3:]:
        environment = log.stem.split("+")[-1].rpartition("-")[0]
        passphrase = Paths.here().environment(environment) / "passphrase"
        opened = {**env, "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase)}
        text = run("pulumi", "logs", "decrypt", str(log), env=opened)
        lines = re.findall(r'^.*(?:"level":"(?:WARN|ERROR)"|Traceback|panic:).*$', text, re.MULTILINE)
        yield f"--- {log.name}\n" + "\n".join(lines[-100:])


def tools(env: Mapping[str, str]) -> Iterator[str]:
    """The end of the latest logs that ./stack keeps: builds, packages, the Docker daemon."""
    del env
    logs = sorted((Paths.here().cache / "logs").glob("*.log"), key=lambda path: path.stat().st_mtime)
    for log in logs[-LATEST:]:
        yield f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-int(TAIL) :])


def run(*argv: str, env: Mapping[str, str]) -> str:
    """Both streams of a command, however it ends."""
    try:
        done = subprocess.run(
            argv, env=dict(env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"{' '.join(argv)} did not end within {SECONDS} s"
    return done.stdout
