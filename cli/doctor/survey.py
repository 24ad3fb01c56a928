"""Facts about the machine, gathered all at once. Changes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import docker
from docker.errors import DockerException

from airgap import daemon, images, tools
from airgap.capabilities import missing_on_this_machine
from airgap.gobuild import is_built
from airgap.programs import Program
from airgap.report import SupplyError
from cli import docker_objects, preflight, prepare, settings
from cli.doctor.machine import Docker, Machine, Tool
from cli.doctor.registries import LANGUAGE_REGISTRIES
from cli.errors import UserError
from cli.observe.present import present_toolchain
from cli.paths import Paths
from stacks.config.loading import parse_stack_file
from stacks.config.model import ClusterSettings, Settings
from stacks.config.problem import Problem, SettingsError


def survey(paths: Paths, environment: str) -> Machine:
    """All facts, in some seconds. Raises UserError for an unknown environment and a file that is no YAML."""
    chosen, problems = _settings(paths, environment)
    env = present_toolchain(paths).env
    with ThreadPoolExecutor() as pool:
        answers = pool.submit(prepare.public_registry_answers)
        language = {name: pool.submit(ask) for name, ask in LANGUAGE_REGISTRIES.items()}
        clusters = chosen.clusters if chosen else ()
        others = {c.name: pool.submit(_ask_api, env, c) for c in clusters if c.source == "existing"}
        facts = pool.submit(_docker)
        ours, running = _docker_objects(env, environment)
        mode = _mode(chosen, answers)
        programs = {program.name: program for program in _programs(mode, env)}.values()
        unbuilt = [program for program in programs if not is_built(paths.cache, program)]
        return Machine(
            environment=environment,
            settings=chosen,
            problems=problems,
            mode=mode,
            registry_answers=answers.result(),
            root=os.geteuid() == 0,
            docker=facts.result(),
            missing_capabilities=missing_on_this_machine(),
            taken_ports=preflight.holders(preflight.wanted_ports(chosen), ours) if chosen else {},
            cache=paths.cache,
            free_disk=shutil.disk_usage(_existing(paths.cache)).free,
            unbuilt=len(unbuilt) / max(1, len(programs)),
            available_memory=available_memory(Path("/proc/meminfo").read_text()),
            running_clusters=running,
            tools=_tools(paths, env),
            oldest_tools={name: oldest for name, (_, oldest) in prepare.TOOLS_ON_PATH.items()},
            go=_tool("go", env),
            registries={n: asked.result() for n, asked in language.items()} if mode == "airgap" else {},
            kubeconfigs={name: asked.result() for name, asked in others.items()},
        )


def _settings(paths: Paths, environment: str) -> tuple[Settings | None, tuple[Problem, ...]]:
    source = settings.merged(paths, environment)
    try:
        return parse_stack_file(source), ()
    except SettingsError as error:
        return None, error.problems


def _mode(chosen: Settings | None, answers: Future[bool]) -> str:
    if chosen is not None and chosen.supply != "auto":
        return chosen.supply
    return "upstream" if answers.result() else "airgap"


def _programs(mode: str, env: Mapping[str, str]) -> list[Program]:
    """What `up` would build when it is not in the cache."""
    if mode == "airgap":
        return tools.to_build([*tools.NAMES, *tools.OF_AIRGAP]) + images.to_build()
    found = {name: _tool(name, env) for name in prepare.TOOLS_ON_PATH}
    oldest = {name: version for name, (_, version) in prepare.TOOLS_ON_PATH.items()}
    return tools.to_build([name for name, tool in found.items() if (tool.version or (0, 0)) < oldest[name]])


def _tools(paths: Paths, env: Mapping[str, str]) -> dict[str, Tool]:
    built = tools.present_tools(paths.cache)
    return {
        name: Tool(path=str(built[name]), built=True) if name in built else _tool(name, env)
        for name in prepare.TOOLS_ON_PATH
    }


def _tool(name: str, env: Mapping[str, str]) -> Tool:
    """A program on PATH and its version."""
    path = shutil.which(name, path=env["PATH"])
    arguments, _ = prepare.TOOLS_ON_PATH.get(name, (("version",), (0, 0)))
    return Tool(path=path, version=prepare.version_of(path, arguments)) if path else Tool()


def _docker() -> Docker:
    """What the daemon says of itself; why there is none and can be none."""
    try:
        host = daemon.running_daemon()
        lacking = "" if host else daemon.lacking()
    except SupplyError as error:
        return Docker(lacking=str(error))
    if host is None:
        return Docker(lacking=lacking)
    try:
        client = docker.DockerClient(base_url=host, timeout=5)
    except DockerException as error:
        return Docker(lacking=str(error))
    try:
        said = client.info()
    except DockerException as error:
        return Docker(lacking=f"the daemon at {host} answers no questions: {error}")
    finally:
        client.close()
    return Docker(
        host=host,
        version=str(said.get("ServerVersion")),
        cgroup=str(said.get("CgroupVersion") or "1"),
        driver=str(said.get("Driver")),
        own=host == daemon.own_host(),
    )


def _docker_objects(env: Mapping[str, str], environment: str) -> tuple[set[int], int]:
    """Ports our containers hold, and how many of our clusters run."""
    try:
        states = docker_objects.states(env, environment)
        ports = docker_objects.published_ports(env, environment)
    except UserError:
        return set(), 0  # no daemon: the check of Docker says so
    running = [name for name, state in states.items() if name.startswith("k3d-") and state == "running"]
    return ports, len(running)


def _ask_api(env: Mapping[str, str], cluster: ClusterSettings) -> str:
    """Empty when an existing cluster answers, else why not."""
    path = Path(str(cluster.kubeconfig)).expanduser()
    if not path.exists():
        return f"there is no {path}"
    argv = ["kubectl", "--kubeconfig", str(path), "--context", str(cluster.context), "--request-timeout=5s"]
    try:
        done = subprocess.run(
            [*argv, "get", "--raw", "/version"], env=dict(env), capture_output=True, text=True, timeout=15,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else " ".join(done.stderr.split())[:300]


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def available_memory(meminfo: str) -> int:
    """Bytes that can be had without swapping, from the text of /proc/meminfo; 0 when it does not say."""
    for line in meminfo.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0
