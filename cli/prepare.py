"""Preparing the machine: tools, Docker daemon, images and plugins are found or made.

Supply mode: `upstream` when the public image registry answers, `airgap` when it does not; config or
--supply forces one. Air gap builds everything from language registries (airgap/); upstream uses what the
machine has and only makes the tools that are missing.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from airgap import daemon, images, machine, tools
from airgap.plugins import install as plugins
from airgap.report import Report
from cli import preflight
from cli.engine import Engine
from cli.errors import UserError
from cli.paths import Paths
from cli.toolchain import Toolchain, compose, existing, users_path

REGISTRY = "https://registry-1.docker.io/v2/"
REGISTRY_TIMEOUT_SECONDS = 4.0

# A tool on PATH is used when it is at least this new (older ones lack a flag or a field the program uses).
TOOLS_ON_PATH: Mapping[str, tuple[tuple[str, ...], tuple[int, int]]] = {
    "pulumi": (("version",), (3, 200)),
    "k3d": (("version",), (5, 6)),
    "helm": (("version", "--short"), (3, 14)),
    "kubectl": (("version", "--client"), (1, 33)),
}


def prepared_engine(arguments: argparse.Namespace, paths: Paths, progress: Report) -> Engine:
    """The engine of an environment on a machine that was prepared for it. Raises UserError."""
    chosen = preflight.checked_settings(paths, arguments.environment)
    prepared = prepare(paths, progress, supply=arguments.supply or chosen.supply, mirror=chosen.mirror)
    preflight.check_clusters(chosen, prepared.env, arguments.environment)
    preflight.check_ports(chosen, prepared.env, arguments.environment)
    preflight.check_network(chosen, prepared.env, arguments.environment)
    return Engine(prepared, arguments.environment, progress)


def prepare(paths: Paths, progress: Report, *, supply: str = "auto", mirror: str = "") -> Toolchain:
    """Find or make everything `up` needs. Safe to interrupt and repeat; what is there stays."""
    mode = choose_mode(supply, progress, mirrors=lambda: bool(mirror) or daemon_has_mirrors())
    reused = {} if mode == "airgap" else tools_on_path(progress, users_path(paths))
    names = [name for name in TOOLS_ON_PATH if name not in reused]
    built = [*tools.OF_AIRGAP] if mode == "airgap" else []
    machine.require(paths.cache, tools.to_build(names + built) + (images.to_build() if built else []))
    with progress.step("Tools"):
        made = tools.ensure_tools(paths.cache, progress, names=names)
        providers = tools.ensure_tools(paths.cache, progress, names=built)
    with progress.step("Docker"):
        docker_host = daemon.ensure_daemon(paths.cache, progress)
    if mode == "airgap":
        with progress.step("Images"):
            supply_map = images.ensure_supply(paths.cache, docker_host, progress)
        plugins.install_providers(paths.pulumi_home, Path(sys.executable), paths.root, providers)
        plugins.install_quiet_home(paths.pulumi_home, paths.quiet_home)
        _write_if_changed(paths.supply_map, json.dumps(supply_map, indent=2, sort_keys=True))
    else:
        paths.supply_map.unlink(missing_ok=True)  # of an earlier time without the public registry
    if "pulumi" in made:
        plugins.install_language_host(made["pulumi"].parent, Path(sys.executable), paths.root)
    return compose(paths, mode, docker_host, made)


def engine_alone(paths: Paths, progress: Report) -> Toolchain:
    """The environment of a machine that has at least `pulumi`, which is made when it is not there."""
    ready = existing(paths)
    if shutil.which("pulumi", path=ready.exports["PATH"]):
        return ready
    machine.require(paths.cache, tools.to_build(["pulumi"]))
    with progress.step("Tools"):
        made = tools.ensure_tools(paths.cache, progress, names=["pulumi"])
    return compose(paths, ready.mode, daemon.running_daemon() or "", made)


def choose_mode(
    wanted: str, progress: Report, registry: str = REGISTRY, *, mirrors: Callable[[], bool] = lambda: False
) -> str:
    """Resolve `auto` by asking the public registry once; says what was chosen and why.

    Raises UserError when `upstream` is wanted and neither that registry nor one of the `mirrors` can be had.
    """
    if wanted == "upstream" and not (public_registry_answers(registry) or mirrors()):
        raise UserError(
            f"supply is upstream, but the public image registry ({REGISTRY}) does not answer and there is no "
            "mirror of it: take `--supply airgap`, which builds images and tools from language registries, "
            "or set `mirror` in the environment's file to a registry that you can reach."
        )
    if wanted != "auto":
        progress.note(f"Supply: {wanted}, as configured.")
        return wanted
    if public_registry_answers(registry):
        progress.note("Supply: upstream (the public image registry answers).")
        return "upstream"
    progress.note(
        "Supply: airgap (the public image registry cannot be reached; building from language registries)."
    )
    return "airgap"


def public_registry_answers(registry: str = REGISTRY) -> bool:
    """Whether the public image registry itself answers, not just a proxy on the way."""
    try:
        with urllib.request.urlopen(registry, timeout=REGISTRY_TIMEOUT_SECONDS):  # noqa: S310
            return True
    except urllib.error.HTTPError as error:
        return error.code == 401  # an anonymous call is asked for a token: the registry itself speaking
    except (urllib.error.URLError, OSError):
        return False


def daemon_has_mirrors() -> bool:
    """Whether the user's Docker daemon pulls public images through mirrors of its own."""
    asked = ["docker", "info", "--format", "{{range .RegistryConfig.Mirrors}}{{.}} {{end}}"]
    try:
        return bool(subprocess.run(asked, capture_output=True, timeout=20, check=False).stdout.strip())
    except (OSError, subprocess.TimeoutExpired):
        return False


def tools_on_path(progress: Report, search: str) -> dict[str, str]:
    """The user's own tools that are recent enough, with a line that says so."""
    found = {}
    for name, (arguments, minimum) in TOOLS_ON_PATH.items():
        path = shutil.which(name, path=search)
        if path is None:
            continue
        version = version_of(path, arguments)
        if version is not None and version >= minimum:
            found[name] = path
            progress.note(f"Using {path} ({'.'.join(map(str, version))}).")
    return found


def version_of(path: str, arguments: tuple[str, ...]) -> tuple[int, int] | None:
    """Major and minor version a program prints; None when it prints none."""
    try:
        done = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"v?(\d+)\.(\d+)\.\d+", done.stdout)
    return (int(match[1]), int(match[2])) if match and not done.returncode else None


def _write_if_changed(path: Path, text: str) -> None:
    if path.exists() and path.read_text() == text:
        return
    fresh = path.with_suffix(".new")
    try:
        fresh.write_text(text)
        fresh.replace(path)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}. Free some room or set XDG_CACHE_HOME."
        ) from error
