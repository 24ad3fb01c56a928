"""The engine of an environment as the machine knows it: nothing is made, and no cluster asked."""

from __future__ import annotations

from airgap import tools
from airgap.report import Report, SupplyError
from cli import toolchain
from cli.engine import Engine
from cli.errors import UserError
from cli.paths import Paths
from cli.toolchain import Toolchain


class NotUpError(UserError):
    """The environment has never been brought up, or was destroyed."""


def engine_of(paths: Paths, environment: str, progress: Report) -> Engine:
    """The engine of an environment on this machine as it is; makes nothing."""
    return Engine(present_toolchain(paths), environment, progress)


def present_toolchain(paths: Paths) -> Toolchain:
    """The machine as it is, even when DOCKER_HOST names a daemon that is silent."""
    try:
        return toolchain.existing(paths)
    except SupplyError:
        mode = "airgap" if paths.supply_map.exists() else "upstream"
        return toolchain.compose(paths, mode, "", tools.present_tools(paths.cache))


def refuse_absent(engine: Engine) -> None:
    """Raise NotUpError when the environment is not up, not even half-way."""
    if not engine.exists():
        raise NotUpError(
            f"environment {engine.environment!r} is not up; run ./stack up {engine.environment} first."
        )
