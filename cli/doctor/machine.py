"""The machine before `up`: settings, Docker, privileges, ports, disk, memory, tools, registries. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from airgap.gobuild import OLDEST_GO
from airgap.machine import COLD_BYTES
from cli.doctor.check import Check, Result
from cli.preflight import wanted_ports
from stacks.config.model import Settings
from stacks.config.problem import Problem

GIB = 1024**3
WARM_BYTES = 4 * GIB
"""What running clusters write: images unpacked once per node, etcd, logs."""
CLUSTER_BYTES = 0.8 * GIB
"""Memory of one cluster with Dapr, gateway and demo app; seen: 0.6 GiB, more while it starts."""
OLDEST_DOCKER = (20, 10)


@dataclass(frozen=True, kw_only=True)
class Docker:
    """The daemon: where it answers and what it says of itself; `lacking` why there can be none."""

    host: str = ""
    version: str = ""
    cgroup: str = ""
    driver: str = ""
    own: bool = False
    lacking: str = ""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A program: on PATH, or built already, and its version as (major, minor)."""

    path: str = ""
    version: tuple[int, int] | None = None
    built: bool = False


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What was gathered. Registries and kubeconfigs: an empty text is good, else it says what went wrong."""

    environment: str
    settings: Settings | None
    problems: tuple[Problem, ...] = ()
    mode: str = "upstream"
    registry_answers: bool = False
    root: bool = False
    docker: Docker = Docker()
    missing_capabilities: tuple[str, ...] = ()
    taken_ports: Mapping[int, str] = field(default_factory=dict)
    cache: Path = Path("/")
    free_disk: int = 0
    unbuilt: float = 0.0
    available_memory: int = 0
    running_clusters: int = 0
    tools: Mapping[str, Tool] = field(default_factory=dict)
    oldest_tools: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    go: Tool = Tool()
    registries: Mapping[str, str] = field(default_factory=dict)
    kubeconfigs: Mapping[str, str] = field(default_factory=dict)


def machine_checks(machine: Machine) -> list[Check]:
    """All of them, in the order in which `up` would meet them."""
    return [
        *settings(machine),
        docker(machine),
        *capabilities(machine),
        *ports(machine),
        disk(machine),
        *memory(machine),
        *tools(machine),
        *registries(machine),
        *kubeconfigs(machine),
    ]


def _check(name: str, result: Result, seen: str, hint: str = "") -> Check:
    return Check(group="machine", name=name, result=result, seen=seen, hint=hint)


def settings(machine: Machine) -> Iterator[Check]:
    """Every problem of the environment's file."""
    file = f"Pulumi.{machine.environment}.yaml"
    for problem in machine.problems:
        shown = "" if problem.value is None else f" = {problem.value!r}"
        yield _check("settings", "fail", f"{file}: {problem.path}{shown}: {problem.reason}", problem.hint)
    if machine.settings is not None:
        count = len(machine.settings.clusters)
        yield _check("settings", "ok", f"{file} describes {count} clusters")


def docker(machine: Machine) -> Check:
    """A daemon that runs, or that can be started."""
    found = machine.docker
    if found.lacking:
        return _check("Docker", "fail", "no daemon answers, and none can be started here", found.lacking)
    if not found.host:
        return _check("Docker", "ok", "no daemon answers; ./stack starts one of its own (root, Debian)")
    seen = f"{found.version} at {found.host}, cgroup v{found.cgroup}, {found.driver}"
    if _version(found.version) < OLDEST_DOCKER:
        oldest = ".".join(map(str, OLDEST_DOCKER))
        return _check(
            "Docker", "fail", seen, f"Install Docker {oldest} or newer; this one is too old for k3d"
        )
    return _check("Docker", "ok", seen)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())


def capabilities(machine: Machine) -> Iterator[Check]:
    """k3d's nodes are privileged: Docker asks for every capability there is."""
    lacks = ", ".join(machine.missing_capabilities)
    who = "root" if machine.root else "not root"
    if not lacks:
        yield _check("privileges", "ok", f"{who}; every capability is in the bounding set")
    elif machine.docker.host and not machine.docker.own:
        yield _check(
            "privileges", "warn", f"{who}; this machine lacks {lacks}, and the Docker daemon is not ours",
            "If privileged containers fail there, stop that daemon or unset DOCKER_HOST: ./stack then starts "
            "one that does not ask for what cannot be given",
        )  # fmt: skip
    else:
        yield _check("privileges", "ok", f"{who}; this machine lacks {lacks}: our daemon does not ask for it")


def ports(machine: Machine) -> Iterator[Check]:
    """Host ports the environment publishes."""
    if machine.settings is None:
        return
    wanted = wanted_ports(machine.settings)
    for port, holder in sorted(machine.taken_ports.items()):
        if machine.docker.lacking and "docker-proxy" in holder:
            why = f"{port} is held by a Docker daemon that cannot be asked: perhaps it is ours"
            yield _check("ports", "warn", why, "Make the daemon answer first")
            continue
        seen = f"{port}, wanted by {wanted[port].setting}, is taken" + (f": {holder}" if holder else "")
        yield _check(
            "ports", "fail", seen, f"Free it, or choose another in Pulumi.{machine.environment}.yaml"
        )
    if not machine.taken_ports and wanted:
        yield _check("ports", "ok", f"{', '.join(map(str, sorted(wanted)))}: free or ours")


def disk(machine: Machine) -> Check:
    """Room for what is still to be made, and for what runs."""
    needed = COLD_BYTES * machine.unbuilt + WARM_BYTES
    seen = f"{machine.cache} has {machine.free_disk / GIB:.0f} GiB free, about {needed / GIB:.0f} are needed"
    if machine.free_disk >= needed:
        return _check("disk", "ok", seen)
    return _check("disk", "fail", seen, "Free some room, or set XDG_CACHE_HOME to a larger disk")


def memory(machine: Machine) -> Iterator[Check]:
    """Room for the clusters made here that do not run yet."""
    if machine.settings is None:
        return
    made_here = sum(cluster.source == "k3d" for cluster in machine.settings.clusters)
    needed = CLUSTER_BYTES * max(0, made_here - machine.running_clusters)
    free = f"{machine.available_memory / GIB:.1f} GiB available"
    running = f", {machine.running_clusters} run already" if machine.running_clusters else ""
    seen = f"{free}, about {needed / GIB:.1f} needed for {made_here} clusters{running}"
    if not needed:
        seen = f"{free}, no more needed: {made_here} clusters run already"
    if machine.available_memory >= needed:
        yield _check("memory", "ok", seen)
    else:
        hint = f"End something else, or take clusters out of Pulumi.{machine.environment}.yaml"
        yield _check("memory", "fail", seen, hint)


def tools(machine: Machine) -> Iterator[Check]:
    """Programs found or buildable; Go where something has to be built."""
    to_build = []
    for name, tool in machine.tools.items():
        oldest = machine.oldest_tools[name]
        if tool.built:
            yield _check(name, "ok", f"{tool.path}, built here")
        elif machine.mode == "upstream" and tool.version is not None and tool.version >= oldest:
            yield _check(name, "ok", f"{tool.path}, {_dotted(tool.version)}")
        else:
            to_build.append(name)
            old = (
                f"{tool.path} is {_dotted(tool.version)}, older than {_dotted(oldest)}; "
                if tool.version
                else ""
            )
            yield _check(name, "ok", f"{old}./stack up builds it")
    if to_build or machine.unbuilt:
        yield _go(machine.go)


def _go(go: Tool) -> Check:
    if go.version is None:
        hint = "Install Go from go.dev/doc/install or your distribution"
        return _check("go", "fail", "no go on PATH, and programs have to be built", hint)
    if go.version < OLDEST_GO:
        hint = f"Install Go {_dotted(OLDEST_GO)} or newer"
        return _check("go", "fail", f"{go.path} is {_dotted(go.version)}", hint)
    return _check("go", "ok", f"{go.path}, {_dotted(go.version)}")


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def registries(machine: Machine) -> Iterator[Check]:
    """Where images and programs come from can be reached, as far as something still has to come."""
    if machine.registry_answers:
        yield _check("public image registry", "ok", "answers")
    elif machine.mode == "upstream":
        hint = "Open the network to it, set `mirror`, or use --supply airgap"
        yield _check("public image registry", "fail", "does not answer, and the supply is upstream", hint)
    else:
        yield _check(
            "public image registry", "ok", "does not answer: everything is built from language registries"
        )
    for name, why in machine.registries.items():
        if not why:
            yield _check(name, "ok", "answers")
        elif machine.unbuilt:
            yield _check(name, "fail", why, f"Check the network, and how the client of {name} is configured")
        else:
            hint = "Nothing now; after a change of versions it is needed"
            yield _check(name, "warn", f"{why}; nothing has to come from it, all is in the cache", hint)


def kubeconfigs(machine: Machine) -> Iterator[Check]:
    """Clusters someone else runs can be reached."""
    for cluster, why in machine.kubeconfigs.items():
        if why:
            hint = f"Correct kubeconfig and context of {cluster} in Pulumi.{machine.environment}.yaml"
            yield _check(f"kubeconfig of {cluster}", "fail", why, hint)
        else:
            yield _check(f"kubeconfig of {cluster}", "ok", "its API server answers")
