"""kubectl and docker on the clusters of an environment, for what must work whatever else has failed."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from cli.engine import Engine
from cli.errors import UserError
from cli.observe.api import ClientConfig
from cli.observe.client_config import client_configs
from stacks.config.model import Settings

SECONDS = 60.0
"""Patience for one command."""


class Tools:
    """Open inside a `with`; the kubeconfigs lie in a private folder that goes at its end."""

    def __init__(self, configs: Mapping[str, ClientConfig], env: Mapping[str, str]) -> None:
        self._configs, self._env = configs, dict(env)
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @classmethod
    def of(cls, engine: Engine, settings: Settings) -> Self:
        """Those of an environment."""
        configs, _ = client_configs(engine, settings)
        return cls(configs, engine.toolchain.env)

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="multicluster-dapr-")  # mode 0700
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def kubectl(
        self, cluster: str, *arguments: str, stdin: str | None = None, seconds: float = SECONDS
    ) -> str:
        """Standard output of kubectl on a cluster. Raises UserError with what it said."""
        if cluster not in self._configs:
            raise UserError(f"there is no kubeconfig for {cluster}.")
        if self._folder is None:
            raise RuntimeError("the tools were not opened")
        config = self._configs[cluster]
        file = Path(self._folder.name) / f"{cluster}.kubeconfig"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(config.kubeconfig)
        context = ["--context", config.context] if config.context else []
        return self._run(
            ["kubectl", "--kubeconfig", str(file), *context, *arguments],
            f"{cluster}: kubectl",
            stdin,
            seconds,
        )

    def docker(self, *arguments: str, seconds: float = SECONDS) -> str:
        """Standard output of docker. Raises UserError with what it said."""
        return self._run(["docker", *arguments], "docker", None, seconds)

    def _run(self, argv: list[str], who: str, stdin: str | None, seconds: float) -> str:
        """In a session of its own: Ctrl-C must not end what puts something back."""
        shown = " ".join(argument for argument in argv[1:] if "kubeconfig" not in argument)
        try:
            done = subprocess.run(
                argv, env=self._env, input=stdin or "", capture_output=True, text=True, timeout=seconds,
                check=False, start_new_session=True,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise UserError(f"{argv[0]} is not installed or not on PATH; run ./stack up first.") from error
        except subprocess.TimeoutExpired as error:
            raise UserError(f"{who} {shown} did not finish within {seconds:.0f} s.") from error
        if done.returncode:
            raise UserError(f"{who} {shown} failed: {' '.join((done.stderr or done.stdout).split())}")
        return done.stdout
