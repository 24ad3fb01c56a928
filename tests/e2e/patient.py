"""The running environment as the doctor sees it: broken by tests, and repaired by the hints as printed."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from e2e.commands import ENVIRONMENT, ROOT
from e2e.load import Kubectl

from airgap.report import Report
from cli import preflight, toolchain
from cli.doctor.check import Check
from cli.doctor.command import after
from cli.engine import Engine
from cli.observe.api import open_apis
from cli.observe.client_config import client_configs
from cli.observe.environment import Running
from cli.paths import Paths

SHOWN_SECONDS = 60.0
"""Bound for a fault to show, or to be gone: a pod with a sidecar takes most of it on a busy machine."""


class Patient:
    """The running environment: broken by kubectl and docker, examined by the doctor."""

    def __init__(self, env: dict[str, str], folder: Path) -> None:
        self.env = env | {"HOME": str(folder)}  # where a fix lets k3d write its kubeconfigs
        paths = Paths.here()
        self.engine = Engine(toolchain.existing(paths), ENVIRONMENT, Report())
        self.settings = preflight.checked_settings(paths, ENVIRONMENT)
        self.configs, missing = client_configs(self.engine, self.settings)
        assert not missing
        self.kubectl: dict[str, Kubectl] = {}
        for name, config in self.configs.items():
            path = folder / name
            path.touch(mode=0o600)
            path.write_text(config.kubeconfig)
            self.kubectl[name] = Kubectl(env, path)

    def examine(self) -> dict[str, Check]:
        """Every check of clusters and paths by name."""

        async def looked() -> list[Check]:
            async with open_apis(self.configs, self.engine.toolchain.env) as apis:
                environment = Running(engine=self.engine, settings=self.settings, apis=apis, missing={})
                return await after(environment)

        return {check.name: check for check in asyncio.run(looked())}

    def shows(self, path: str, hop: str) -> Check:
        """The check of a path, once its first broken hop is this one."""
        found = self.until(lambda checks: path in checks and checks[path].broken == hop, f"{path}: {hop}")
        return found[path]

    def healthy(self, *paths: str) -> None:
        """Wait until these paths are fine."""
        self.until(
            lambda checks: all(path in checks and checks[path].result == "ok" for path in paths), "healthy"
        )

    def until(self, wanted: Callable[[dict[str, Check]], bool], what: str) -> dict[str, Check]:
        deadline = time.monotonic() + SHOWN_SECONDS
        while not wanted(checks := self.examine()):
            bad = [check for check in checks.values() if check.result != "ok"]
            assert time.monotonic() < deadline, f"waited for {what}; seen: {bad}"
            time.sleep(0.5)
        return checks

    def run(self, *argv: str) -> str:
        return subprocess.run(
            argv, env=self.env, cwd=ROOT, check=True, capture_output=True, text=True, timeout=120
        ).stdout

    @contextlib.contextmanager
    def without(self, cluster: str, namespace: Sequence[str], deployment: str) -> Iterator[None]:
        """A Deployment at zero: the block heals it, and a block that fails has it put back.

        Otherwise every test after it would fail as well, each after its minute.
        """
        scale = (*namespace, "scale", f"deployment/{deployment}")
        self.kubectl[cluster](*scale, "--replicas=0")
        try:
            yield
        except BaseException:
            self.kubectl[cluster](*scale, "--replicas=1")
            raise

    def heal(self, check: Check) -> None:
        """Run the fix as doctor prints it."""
        self.run("bash", "-c", check.hint)
