"""The prepared machine: tools, Docker daemon, images and plugins, found or made, as one environment.

Supply mode: `upstream` when the public image registry answers, `airgap` when it does not; config or
--supply forces one. Air gap builds everything from language registries (airgap/); upstream uses what the
machine has and only makes the tools that are missing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from airgap import daemon, images, machine, tools
from airgap.plugins import install as plugins
from airgap.report import Report
from cli import plain
from cli.errors import UserError
from cli.paths import Paths

MODES = ("auto", "upstream", "airgap")
REGISTRY = "https://registry-1.docker.io/v2/"
REGISTRY_TIMEOUT_SECONDS = 4.0

# A tool on PATH is used when it is at least this new (older ones lack a flag or a field the program uses).
TOOLS_ON_PATH: Mapping[str, tuple[tuple[str, ...], tuple[int, int]]] = {
    "pulumi": (("version",), (3, 200)),
    "k3d": (("version",), (5, 6)),
    "helm": (("version", "--short"), (3, 14)),
    "kubectl": (("version", "--client"), (1, 33)),
}


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """Everything a command needs to run the engine or talk to the clusters."""

    paths: Paths
    mode: str
    exports: Mapping[str, str] = field(repr=False)

    @property
    def logging(self) -> dict[str, str]:
        """What has the engine keep its log, for `gather`: it is worth its price where something is made."""
        quiet = self.exports.get("PULUMI_HOME") == str(self.paths.quiet_home)
        return {"PULUMI_HOME": str(self.paths.pulumi_home)} if quiet else {}

    @property
    def env(self) -> dict[str, str]:
        """The whole process environment for child processes."""
        return {**os.environ, **self.exports}


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


def existing(paths: Paths, *, docker_host: str = "") -> Toolchain:
    """The environment of a machine that `up` has prepared before; makes nothing and asks nobody."""
    mode = "airgap" if paths.supply_map.exists() else "upstream"
    return compose(
        paths, mode, docker_host or daemon.running_daemon() or "", tools.present_tools(paths.cache)
    )


def engine_alone(paths: Paths, progress: Report) -> Toolchain:
    """The environment of a machine that has at least `pulumi`, which is made when it is not there."""
    ready = existing(paths)
    if shutil.which("pulumi", path=ready.exports["PATH"]):
        return ready
    machine.require(paths.cache, tools.to_build(["pulumi"]))
    with progress.step("Tools"):
        made = tools.ensure_tools(paths.cache, progress, names=["pulumi"])
    return compose(paths, ready.mode, daemon.running_daemon() or "", made)


def users_path(paths: Paths) -> str:
    """The user's own search path: a shell of `./stack env` has a `pulumi` before it that is ours."""
    return plain.without_ours(paths, os.environ.get("PATH", ""))


def compose(paths: Paths, mode: str, docker_host: str, made: Mapping[str, Path]) -> Toolchain:
    """Compose the variables. Only what differs from the user's own environment is listed."""
    folders = dict.fromkeys(str(path.parent) for path in made.values())
    exports = {
        "PATH": os.pathsep.join([*folders, users_path(paths)]),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # Of objects that a killed run left in a cluster made here. In others there is no server-side apply.
        "PULUMI_K8S_ENABLE_PATCH_FORCE": "true",
        plugins.PYTHON_VARIABLE: sys.executable,
        plugins.SOURCE_VARIABLE: str(paths.root),
    }
    if docker_host:
        exports["DOCKER_HOST"] = docker_host
        # k3d mounts the daemon's socket into its nodes and would otherwise look for the usual one.
        exports["DOCKER_SOCK"] = docker_host.removeprefix("unix://")
    if mode == "airgap":
        # Elsewhere it is the user's own, with plugins it has. An earlier version made no quiet one.
        home = paths.quiet_home if paths.quiet_home.exists() else paths.pulumi_home
        exports["PULUMI_HOME"] = str(home)
        exports["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
        exports["MULTICLUSTER_DAPR_SUPPLY"] = str(paths.supply_map)
        exports["K3D_IMAGE_TOOLS"] = _k3d_tools_image(paths)
    return Toolchain(paths=paths, mode=mode, exports=exports)


def _k3d_tools_image(paths: Paths) -> str:
    if not paths.supply_map.exists():
        return ""
    supply_map = json.loads(paths.supply_map.read_text())
    return str(supply_map["images"]["k3d-tools"]["ref"])


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
