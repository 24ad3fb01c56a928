"""What is read from this machine: settings, state, versions, Docker, and the logs of tools and engine."""

from __future__ import annotations

import contextlib
import json
import os
import platform as python_platform
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cli import docker_objects, process, settings
from cli.engine import Engine
from cli.errors import UserError
from cli.gather.archive import Archive
from cli.gather.redact import state_secrets, without_secrets
from cli.paths import PROJECT

LOG_BYTES = 400_000
"""The end of each log file."""
ENGINE_LOGS, OPERATION_BYTES = 2, 200_000
"""The engine keeps a log per call; small are those of calls that only ask."""
VERBOSITY = re.compile(r'"v":(\d+)\}$')
LOUDEST = 3
"""Verbosity of the engine's lines that are kept."""
NODE_LOGS = 'for log in /var/log/k3s-node/*; do echo "== $log"; tail -n 400 "$log"; done'


def secrets_of(engine: Engine) -> set[str]:
    """Every secret the state and the passphrase file hold; of what cannot be read none."""
    found: set[str] = set()
    # Without a state, or its passphrase, nothing of it gets into the archive either.
    with contextlib.suppress(UserError, ValueError):
        found |= state_secrets(engine.state(show_secrets=True))
    if engine.passphrase_file.exists():
        found.add(engine.passphrase_file.read_text().strip())
    if phrase := os.environ.get("PULUMI_CONFIG_PASSPHRASE"):
        found.add(phrase)
    return found


def gather_machine(archive: Archive, engine: Engine) -> None:
    """Everything that needs no cluster."""
    _attempt(archive, "settings", lambda: _settings(archive, engine))
    _attempt(archive, "state", lambda: archive.json("state.json", without_secrets(engine.state())))
    archive.text("versions.txt", _versions(engine))
    _attempt(archive, "Docker", lambda: _docker(archive, engine))
    _attempt(archive, "logs of tools", lambda: _tool_logs(archive, engine))
    _attempt(archive, "logs of the engine", lambda: _engine_logs(archive, engine))


def _attempt(archive: Archive, what: str, act: Callable[[], None]) -> None:
    try:
        act()
    except (UserError, OSError, ValueError) as error:
        archive.lacks(what, error)


def _settings(archive: Archive, engine: Engine) -> None:
    paths, environment = engine.toolchain.paths, engine.environment
    files = {
        "written": settings.source_file(paths, environment),
        "effective": settings.effective_file(paths, environment),
    }
    for name, path in files.items():
        if path.exists():
            archive.json(f"settings/{name}.json", without_secrets(settings.read(path)))
        else:
            archive.lacks(f"{name} settings", f"there is no {path}")
    versions = paths.root / "stacks" / "config" / "versions.yaml"
    archive.text("settings/versions.yaml", versions.read_text())
    if paths.supply_map.exists():
        archive.text("settings/supply.json", paths.supply_map.read_text())


def _versions(engine: Engine) -> str:
    env, root = engine.toolchain.env, engine.toolchain.paths.root
    asked: Mapping[str, Sequence[str]] = {
        "./stack": ["git", "-C", str(root), "log", "-1", "--format=%H %cI"],
        "pulumi": ["pulumi", "version"],
        "k3d": ["k3d", "version"],
        "helm": ["helm", "version", "--short"],
        "kubectl": ["kubectl", "version", "--client"],
        "docker": ["docker", "version", "--format", "client {{.Client.Version}}, server {{.Server.Version}}"],
        "go": ["go", "version"],
    }
    lines = [f"{name}: {_line(argv, env)}" for name, argv in asked.items()]
    uname = python_platform.uname()
    lines += [f"python: {sys.version}", f"machine: {uname.system} {uname.release} {uname.machine}"]
    return "\n".join(lines) + "\n"


def _line(argv: Sequence[str], env: Mapping[str, str]) -> str:
    try:
        return " ".join(process.output(argv, env=env, timeout=20).split())
    except UserError as error:
        return str(error)


def _docker(archive: Archive, engine: Engine) -> None:
    env, environment = engine.toolchain.env, engine.environment
    for name, argv in {
        "ps.txt": [
            "docker",
            "ps",
            "--all",
            "--format",
            "table {{.Names}}\t{{.Image}}\t{{.Status}}\t{{.Ports}}",
        ],
        "info.txt": ["docker", "info"],
        "images.txt": ["docker", "images"],
        "networks.txt": ["docker", "network", "ls"],
    }.items():
        archive.text(f"docker/{name}", process.output(argv, env=env, timeout=30))
    for container, state in docker_objects.states(env, environment).items():
        inspected = without_secrets(_json(["docker", "inspect", container], env))
        archive.json(f"docker/{container}.inspect.json", inspected)
        archive.text(f"docker/{container}.log", _both(["docker", "logs", "--tail", "2000", container], env))
        if container.startswith("k3d-") and state == "running":
            node = ["docker", "exec", container, "sh", "-c", NODE_LOGS]
            archive.text(f"docker/{container}.node.log", _both(node, env))


def _json(argv: Sequence[str], env: Mapping[str, str]) -> Any:
    return json.loads(process.output(argv, env=env, timeout=30))


def _both(argv: Sequence[str], env: Mapping[str, str]) -> str:
    """Both streams: a container's log is on either."""
    done = subprocess.run(
        argv, env=dict(env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        timeout=30, check=False,
    )  # fmt: skip
    return done.stdout


def _tool_logs(archive: Archive, engine: Engine) -> None:
    for log in sorted((engine.toolchain.paths.cache / "logs").glob("*.log")):
        archive.text(f"logs/{log.name}", _tail(log))


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LOG_BYTES))
        return whole_lines(file.read().decode(errors="replace"), cut=log.stat().st_size > LOG_BYTES)


def whole_lines(text: str, *, cut: bool) -> str:
    """Without the first line where the text was cut: half a secret would not be known as one."""
    return text.partition("\n")[2] if cut else text


def _engine_logs(archive: Archive, engine: Engine) -> None:
    """Of the newest operations; the engine has encrypted them with the environment's passphrase."""
    ours = {**engine.exports, **engine.toolchain.logging}.get("PULUMI_HOME")
    home = Path(ours or os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    begun = engine.passphrase_file.stat().st_mtime if engine.passphrase_file.exists() else 0.0
    logs = [(log.stat(), log) for log in (home / "logs").glob(f"*+{PROJECT}+{engine.environment}-*")]
    large = [(s.st_mtime, log) for s, log in logs if s.st_size > OPERATION_BYTES and s.st_mtime >= begun]
    for _, log in sorted(large)[-ENGINE_LOGS:]:
        _attempt(archive, log.name, partial(_engine_log, archive, engine, log))


def _engine_log(archive: Archive, engine: Engine, log: Path) -> None:
    text = process.output(["pulumi", "logs", "decrypt", str(log)], env=engine.env, timeout=60)
    said = "\n".join(line for line in text.splitlines() if worth_reading(line)) + "\n"
    kept = whole_lines(said[-LOG_BYTES:], cut=len(said) > LOG_BYTES)
    archive.text(f"logs/engine/{log.name}", kept)


def worth_reading(line: str) -> bool:
    """Whether a line of the engine's log is more than the protocol: that is most of it, secrets included."""
    verbosity = VERBOSITY.search(line)
    return verbosity is None or '"level":"INFO"' not in line or int(verbosity[1]) <= LOUDEST
