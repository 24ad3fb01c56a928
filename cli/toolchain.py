"""The machine as commands use it: the tools, daemon, images and plugins that it has, as one environment."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from airgap import daemon, tools
from airgap.plugins import install as plugins
from cli import plain
from cli.paths import Paths


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
        return {**plain.COLLECTING, **os.environ, **self.exports}


def existing(paths: Paths, *, docker_host: str = "") -> Toolchain:
    """The environment of a machine that `up` has prepared before; makes nothing and asks nobody."""
    mode = "airgap" if paths.supply_map.exists() else "upstream"
    return compose(
        paths, mode, docker_host or daemon.running_daemon() or "", tools.present_tools(paths.cache)
    )


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
